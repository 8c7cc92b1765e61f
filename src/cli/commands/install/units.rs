//! Texts of the entries that run a command: a line of cron, a service and a timer of systemd.

use super::files::MARK;
use crate::cli::commands::init::text::for_shell;

/// Latest delay of a timer, in seconds: hosts with the same timer do not run it at once.
const RANDOM_DELAY_S: u64 = 300;

/// The command of an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Job {
    /// Program and arguments: a line of UTF-8 each.
    pub words: Vec<String>,
    /// User that runs it; `None`: the user whose entry it is.
    pub user: Option<String>,
    /// Command that removes the entry.
    pub undo: String,
    /// Name, for people.
    pub name: String,
}

impl Job {
    /// The entry of a crontab. A file of the system's also names the user.
    pub fn cron_entry(&self, fields: &str, log: Option<&str>) -> String {
        let words: Vec<String> = self.words.iter().map(|word| for_shell(word)).collect();
        let log = log.map(|log| format!(" >> {} 2>&1", for_shell(log)));
        let command = format!("{}{}", words.join(" "), log.unwrap_or_default());
        // crontab(5): a percent sign ends the line, unless it is escaped.
        let command = command.replace('%', "\\%");
        match &self.user {
            Some(user) => format!("{fields} {user} {command}"),
            None => format!("{fields} {command}"),
        }
    }

    /// The file of the system's crontabs with `entry`.
    pub fn cron_file(&self, entry: &str) -> String {
        format!("{}\n{entry}\n", self.head())
    }

    /// The service.
    pub fn service(&self) -> String {
        let words: Vec<String> = self.words.iter().map(|word| systemd_word(word)).collect();
        // systemd.service(5): with a colon, a dollar is a dollar.
        let colon = if words.iter().any(|word| word.contains('$')) {
            ":"
        } else {
            ""
        };
        let user = self.user.as_ref().filter(|user| *user != "root");
        let user = user.map(|user| format!("User={user}\n"));
        format!(
            "{}\n[Unit]\nDescription=lapsed run {}\n\n[Service]\nType=oneshot\nExecStart={colon}{}\n{}",
            self.head(),
            self.name,
            words.join(" "),
            user.unwrap_or_default()
        )
    }

    /// The timer.
    pub fn timer(&self, calendars: &[String]) -> String {
        let at = calendars
            .iter()
            .map(|calendar| format!("OnCalendar={calendar}\n"));
        format!(
            "{}\n[Unit]\nDescription=Instants of lapsed run {}\n\n[Timer]\n{}RandomizedDelaySec={RANDOM_DELAY_S}\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n",
            self.head(),
            self.name,
            at.collect::<String>()
        )
    }

    fn head(&self) -> String {
        format!("{MARK}; undo: {}", self.undo)
    }
}

/// `word` as a word of a command line of systemd.
fn systemd_word(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@=*".contains(c);
    let word = word.replace('%', "%%");
    if !word.is_empty() && word.chars().all(is_plain) {
        return word;
    }
    format!("\"{}\"", word.replace('\\', r"\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(words: &[&str], user: Option<&str>) -> Job {
        Job {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            user: user.map(str::to_owned),
            undo: "lapsed uninstall --unit x".to_owned(),
            name: "clean".to_owned(),
        }
    }

    #[test]
    fn words_are_those_that_were_meant() {
        let job = job(&["/opt/my app/lapsed", "50%", "it's $HOME", "a\"b\\"], None);
        assert_eq!(
            job.cron_entry("0 2 * * *", Some("/var/log/my log")),
            r#"0 2 * * * '/opt/my app/lapsed' 50\% 'it'\''s $HOME' 'a"b\' >> '/var/log/my log' 2>&1"#
        );
        let service = job.service();
        assert!(
            service.contains(
                "\nExecStart=:\"/opt/my app/lapsed\" \"50%%\" \"it's $HOME\" \"a\\\"b\\\\\"\n"
            ),
            "{service}"
        );
        assert!(!service.contains("User="), "{service}");
    }

    #[test]
    fn a_user_is_named_where_the_system_runs_it() {
        let other = job(&["/usr/bin/lapsed"], Some("www-data"));
        assert_eq!(
            other.cron_entry("0 2 * * *", None),
            "0 2 * * * www-data /usr/bin/lapsed"
        );
        assert!(other.service().contains("\nUser=www-data\n"));
        let root = job(&["/usr/bin/lapsed"], Some("root"));
        assert!(root.cron_entry("0 2 * * *", None).contains(" root "));
        assert!(!root.service().contains("User="));
    }
}
