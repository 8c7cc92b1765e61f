//! Templates by example, and against a matcher that tries everything.

use proptest::prelude::*;

use super::*;

const UUID: &str = "0b7e6d4a-1C2d-4e5f-8a9b-0123456789aB";

fn template(source: &str) -> Template {
    Template::parse(source).unwrap()
}

/// Captures of `source` from `path`, as `class=bytes` in the order of the classes; `None` when it
/// does not match.
fn read(source: &str, path: &str) -> Option<String> {
    let template = template(source);
    let captures = template.captures(path.as_bytes())?;
    let found = Class::ALL.into_iter().filter_map(|class| {
        let text = String::from_utf8_lossy(captures.get(class)?).into_owned();
        Some(format!("{}={text}", class.as_str()))
    });
    Some(found.collect::<Vec<_>>().join(" "))
}

#[test]
fn templates_of_real_roots() {
    for (source, path, expected) in [
        ("{job}/**", "j1/a/b.tif", Some("job=j1")),
        ("{job}/**", "j1", None),
        ("{job}_{name}", "a_b_c", Some("job=a name=b_c")),
        ("{job}_{name}", "_b", None),
        ("{job}_{name}", "x/a_b", None),
        (
            "{stem}_{digits}.tmp",
            "dem.v2_07.tmp",
            Some("stem=dem.v2 digits=07"),
        ),
        (
            "{stem}_{digits}.tmp",
            "a_b_12.tmp",
            Some("stem=a_b digits=12"),
        ),
        ("{stem}_{digits}.tmp", "a_b.tmp", None),
        ("{stem}.*", "a.b.tif", Some("stem=a.b")),
        ("{stem}", ".bashrc", Some("stem=.bashrc")),
        ("{stem}.*", ".bashrc", None),
        ("{stem}/{stem}.*", "a/a.tif", Some("stem=a")),
        ("{stem}.d/{stem}.*", "a.d/a.b.tif", None),
        ("{digits}", "01", Some("digits=01")),
        ("{digits}", "1a", None),
        ("{job}/{job}.log", "j/j.log", Some("job=j")),
        ("{job}/{job}.log", "j/k.log", None),
        ("{job}-{job}", "a-b-a-b", Some("job=a-b")),
        (
            "{job}-*-{name}/{job}",
            "a-b-c-d/a-b",
            Some("job=a-b name=d"),
        ),
        ("**/{job}.done", "j.done", Some("job=j")),
        ("**/{job}.done", "a/b/j.done", Some("job=j")),
        ("a/**/{name}", "a/x", Some("name=x")),
        ("a/**/{name}/x", "a/x/y/x", Some("name=y")),
        ("**", "a/b", Some("")),
        ("*.tmp", ".tmp", Some("")),
        ("*.tmp", "a/b.tmp", None),
    ] {
        assert_eq!(
            read(source, path).as_deref(),
            expected,
            "{source} on {path}"
        );
    }
}

#[test]
fn a_uuid_is_canonical() {
    let source = "data/{uuid}_{name}";
    let path = format!("data/{UUID}_a");
    assert_eq!(read(source, &path), Some(format!("name=a uuid={UUID}")));
    assert_eq!(read(source, &path.replace("-4e5f-", "-4g5f-")), None);
    assert_eq!(read(source, &path.replace("-4e5f-", "-4e5f8")), None);
    assert_eq!(read("{uuid}", &UUID[..35]), None);
    assert_eq!(
        read("{uuid}{name}", &format!("{UUID}0")),
        Some(format!("name=0 uuid={UUID}"))
    );
    assert_eq!(
        read(
            "{uuid}/{uuid}.x",
            &format!("{UUID}/{}.x", UUID.to_lowercase())
        ),
        None
    );
}

#[test]
fn the_whole_name_counts_whatever_its_bytes() {
    assert_eq!(template("{job}.log").captures(b"a.log\n"), None);
    assert_eq!(
        template("{job}.log").captures(b"\na.log").unwrap().job(),
        Some(&b"\na"[..])
    );
    let captures = template("{job}/**").captures(b"\xff\xfe/x").unwrap();
    assert_eq!(captures.job(), Some(&b"\xff\xfe"[..]));
    assert_eq!(captures.get(Class::Name), None);
}

#[test]
fn what_is_no_path_beneath_a_root_matches_nothing() {
    for path in ["", "/a", "a/", "a//b", "/"] {
        assert_eq!(read("**", path), None, "{path}");
        assert_eq!(read("*/**", path), None, "{path}");
    }
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (source, at, says) in [
        ("", 0, "empty"),
        ("/a", 0, "empty segment"),
        ("a//b", 2, "empty segment"),
        ("a/", 2, "empty segment"),
        ("a/../b", 2, "component \"..\""),
        ("a/{job", 2, "not closed"),
        ("{job/x}", 0, "not closed"),
        ("a}b", 1, "closes nothing"),
        ("a/{jobs}", 2, "unknown class {jobs}"),
        ("{}", 0, "unknown class {}"),
        ("é?", 2, "'?'"),
        ("a**", 1, "must fill"),
        ("***", 0, "must fill"),
        ("x/{job}{name}", 7, "where {job} ends and {name} begins"),
        ("{job}*", 5, "where {job} ends and * begins"),
        ("{name}_{job}_x*/{job}", 16, "too many ways"),
        ("**/{job}_{name}/{job}", 16, "too many ways"),
        ("{job}_x*/{name}_x*/{job}/{name}", 25, "too many ways"),
        ("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a", 32, "more than 16"),
    ] {
        let error = Template::parse(source).unwrap_err();
        assert_eq!(error.at, at, "{error}");
        let text = error.to_string();
        assert!(text.contains(says), "{source}: {text}");
        assert!(text.contains(&format!("byte {at}: ")), "{text}");
        for class in Class::ALL {
            assert!(text.contains(&class.to_string()), "{text}");
        }
    }
    assert_eq!(
        Template::parse(&"a".repeat(1025)).unwrap_err().fault,
        Fault::TooLong
    );
}

#[test]
fn hostile_names_end() {
    let name = "a".repeat(255);
    assert_eq!(read("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", &name), None);
    let deep = vec!["a"; 2047].join("/");
    assert_eq!(read("**/a/**/a/**/a/**/{name}/**/b", &deep), None);
    assert_eq!(read("**/{job}/**/{job}b", &deep), None);
    let dashes = "a-".repeat(127);
    assert_eq!(read("{job}-*-*-*-*-*-*-{job}-b", &dashes), None);
    let long = vec![dashes; 16].join("/");
    assert_eq!(read("{job}-*/**/*-*-*-*-*-{job}-b/**", &long), None);
}

#[test]
fn a_job_is_a_key_and_never_a_path() {
    let owner = template("up/{job}/**");
    for bad in ["", ".", "..", "a/b", "a\0"] {
        assert_eq!(owner.job_dir(bad.as_bytes()), None, "{bad:?}");
    }
    assert_eq!(owner.job_dir(b"a\xff"), Some(b"up/a\xff".to_vec()));
    assert_eq!(template("{job}_{name}").job_dir(b"a"), None);
}

#[test]
fn a_template_shows_its_source() {
    let owner = template("up/{job}_{name}");
    assert_eq!(
        (owner.as_str(), owner.to_string().as_str()),
        ("up/{job}_{name}", "up/{job}_{name}")
    );
}

/// A template as the model sees it: segments of parts; `None` is `**`.
type Model = Vec<Option<Vec<Part>>>;

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Star,
    Placeholder(Class),
}

fn source_of(model: &Model) -> String {
    let part = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Star => "*".to_owned(),
        Part::Placeholder(class) => class.to_string(),
    };
    let segments = model.iter().map(|segment| {
        segment
            .as_ref()
            .map_or("**".to_owned(), |parts| parts.iter().map(part).collect())
    });
    segments.collect::<Vec<_>>().join("/")
}

type Found = Vec<(Class, Vec<u8>)>;

/// The first reading in the documented order, by trying every one.
fn naive(segments: &[Option<Vec<Part>>], path: &[&[u8]], found: &Found) -> Option<Found> {
    match segments {
        [] => path.is_empty().then(|| found.clone()),
        [None] => (!path.is_empty()).then(|| found.clone()),
        [None, rest @ ..] => (0..=path.len()).find_map(|skip| naive(rest, &path[skip..], found)),
        [Some(parts), rest @ ..] => {
            let (name, below) = path.split_first()?;
            naive_name(parts, name, 0, found, &|found| naive(rest, below, found))
        }
    }
}

fn naive_name(
    parts: &[Part],
    name: &[u8],
    at: usize,
    found: &Found,
    then: &dyn Fn(&Found) -> Option<Found>,
) -> Option<Found> {
    let Some((part, rest)) = parts.split_first() else {
        return if at == name.len() { then(found) } else { None };
    };
    (at..=name.len()).find_map(|end| {
        let text = &name[at..end];
        let mut found = found.clone();
        let fits = match part {
            Part::Text(literal) => literal.as_bytes() == text,
            Part::Star => true,
            Part::Placeholder(class) => {
                let before = found.iter().find(|(other, _)| other == class).cloned();
                found.push((*class, text.to_vec()));
                before.is_none_or(|(_, before)| before == text)
                    && naive_class(*class, name, at, end)
            }
        };
        if fits {
            naive_name(rest, name, end, &found, then)
        } else {
            None
        }
    })
}

fn naive_class(class: Class, name: &[u8], at: usize, end: usize) -> bool {
    let text = std::str::from_utf8(&name[at..end]);
    match class {
        Class::Job | Class::Name => at < end,
        Class::Stem => {
            let dots: Vec<usize> = (1..name.len()).filter(|&i| name[i] == b'.').collect();
            at < end
                && dots
                    .last()
                    .is_none_or(|&last| end <= last && (!dots.contains(&end) || end == last))
        }
        Class::Uuid => text.is_ok_and(|text| {
            let groups: Vec<&str> = text.split('-').collect();
            groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
                && groups.concat().chars().all(|c| c.is_ascii_hexdigit())
        }),
        Class::Digits => at < end && name[at..end].iter().all(u8::is_ascii_digit),
    }
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        4 => "[ab1_.-]{1,2}".prop_map(Part::Text),
        1 => Just(Part::Star),
        5 => prop::sample::select(&Class::ALL[..]).prop_map(Part::Placeholder),
    ]
}

fn model() -> impl Strategy<Value = Model> {
    let segment = prop_oneof![
        1 => Just(None),
        4 => prop::collection::vec(part(), 1..5)
            .prop_filter("two `*` are written as one `**`", |parts| {
                !parts.windows(2).any(|pair| pair == [Part::Star, Part::Star])
            })
            .prop_map(Some),
    ];
    prop::collection::vec(segment, 1..4)
}

/// Text for one part: mostly what it stands for.
fn text_for(part: &Part) -> BoxedStrategy<String> {
    match part {
        Part::Text(text) => Just(text.clone()).boxed(),
        Part::Star => "[ab1_.-]{0,4}".boxed(),
        Part::Placeholder(Class::Uuid) => {
            prop_oneof![Just(UUID.to_owned()), Just(UUID.to_lowercase())].boxed()
        }
        Part::Placeholder(Class::Digits) => "[1]{1,3}".boxed(),
        Part::Placeholder(Class::Job | Class::Name | Class::Stem) => "[ab1_.-]{1,4}|a".boxed(),
    }
}

fn path_for(model: &Model) -> BoxedStrategy<String> {
    let segments: Vec<BoxedStrategy<Vec<String>>> = model
        .iter()
        .map(|segment| match segment {
            None => prop::collection::vec("[ab1_.-]{1,3}", 0..3).boxed(),
            Some(parts) => {
                let texts: Vec<_> = parts.iter().map(text_for).collect();
                texts.prop_map(|texts| vec![texts.concat()]).boxed()
            }
        })
        .collect();
    let alike = segments.prop_map(|segments| segments.concat().join("/"));
    prop_oneof![4 => alike, 1 => "[ab1_.-]{1,8}(/[ab1_.-]{1,4}){0,3}"].boxed()
}

fn case() -> impl Strategy<Value = (Template, Model, String)> {
    model()
        .prop_filter_map("refused", |model| {
            Some((Template::parse(&source_of(&model)).ok()?, model))
        })
        .prop_flat_map(|(template, model)| {
            let path = path_for(&model).prop_filter("a path", |path| {
                path.split('/').all(|name| !name.is_empty())
            });
            (Just(template), Just(model), path)
        })
}

#[test]
fn of_several_templates_each_is_a_reading() {
    let all = ["{job}.*", "{job}_processed.mp3", "in/{job}/**"].map(template);
    let owner = Template::any_of(all.to_vec()).unwrap();
    let jobs = |path: &str| -> Vec<String> {
        let jobs = owner.jobs(path.as_bytes());
        jobs.map(|job| String::from_utf8_lossy(job).into_owned())
            .collect()
    };
    assert_eq!(jobs("a.mp3"), ["a"]);
    assert_eq!(jobs("a.b.mp3"), ["a", "a.b"]);
    assert_eq!(jobs("a_processed.mp3"), ["a_processed", "a"]);
    assert_eq!(jobs("in/a/b.mp3"), ["a"]);
    assert_eq!(jobs("in/a"), ["a"], "a directory");
    assert_eq!(jobs("b/a.mp3"), [""; 0]);
    assert!(!owner.has_job_dir(), "not all of a job's lies there");
    assert_eq!(
        owner.as_str(),
        "{job}.*\", \"{job}_processed.mp3\", \"in/{job}/**"
    );
    assert_eq!(Template::any_of(Vec::new()), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn reads_what_trying_everything_reads((template, model, path) in case()) {
        let components: Vec<&[u8]> = path.as_bytes().split(|&b| b == b'/').collect();
        let expected = naive(&model, &components, &Vec::new()).map(|found| {
            Class::ALL.map(|class| {
                let text = found.iter().find(|(other, _)| *other == class);
                text.map(|(_, text)| text.clone())
            })
        });
        let captures = template.captures(path.as_bytes());
        let found = captures.map(|captures| Class::ALL.map(|class| captures.get(class).map(<[u8]>::to_vec)));
        prop_assert_eq!(&found, &expected);
    }
}
