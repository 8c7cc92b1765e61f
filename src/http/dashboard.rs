//! `GET /`: the dashboard, a page that asks `/v1` for all that it shows.
//!
//! **Invariant:** the files are the same for everyone and hold no data, so that they are served
//! without credentials: one logs in by them.
//! **Invariant:** nothing is loaded from elsewhere, and no text can become a script or a style: the
//! policy forbids both, and names of files are made by anyone.

use axum::Router;
use axum::routing::get;

use super::docs::answer;
use super::route::QUESTION;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// Policy of the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// Declares files of `dashboard/` by their path, media type and name.
macro_rules! files {
    ($(($path:literal, $media:expr, $name:literal),)+) => {
        [$(($path, $media, include_str!(concat!("dashboard/", $name)))),+]
    };
}

/// Path, media type and text of each file.
const FILES: [(&str, &str, &str); 13] = files![
    ("/", HTML, "index.html"),
    ("/dashboard/style.css", CSS, "style.css"),
    ("/dashboard/icon.svg", IMAGE, "icon.svg"),
    ("/dashboard/app.js", SCRIPT, "app.js"),
    ("/dashboard/api.js", SCRIPT, "api.js"),
    ("/dashboard/dom.js", SCRIPT, "dom.js"),
    ("/dashboard/chart.js", SCRIPT, "chart.js"),
    ("/dashboard/series.js", SCRIPT, "series.js"),
    ("/dashboard/overview.js", SCRIPT, "overview.js"),
    ("/dashboard/files.js", SCRIPT, "files.js"),
    ("/dashboard/clean.js", SCRIPT, "clean.js"),
    ("/dashboard/history.js", SCRIPT, "history.js"),
    ("/dashboard/system.js", SCRIPT, "system.js"),
];

/// Returns the routes of the files.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let serve = |router: Router<S>, (path, media, text)| {
        let file = get(move || async move { answer(POLICY, media, text) });
        router.route(path, QUESTION.guard(file))
    };
    FILES.into_iter().fold(Router::new(), serve)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_all_and_load_one_another_alone() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/dashboard");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), FILES.len());
        for (path, media, text) in FILES {
            for word in [
                "http:",
                "https:",
                "innerHTML",
                "outerHTML",
                "insertAdjacent",
                "document.write",
                "eval(",
                "new Function",
                "localStorage",
                "cookie",
                "style=",
                "onclick=",
            ] {
                // The namespace of SVG is a name, not an address.
                let text = text.replace("http://www.w3.org/2000/svg", "");
                assert!(!text.contains(word), "{word} in {path}");
            }
            let imports = text.lines().filter(|_| media == SCRIPT);
            let imports = imports.filter_map(|line| line.rsplit_once(" from \"./"));
            for (_, name) in imports {
                let name = name.trim_end_matches("\";");
                let known = FILES
                    .iter()
                    .any(|(path, ..)| path.rsplit('/').next() == Some(name));
                assert!(known, "{name} in {path}");
            }
        }
    }
}
