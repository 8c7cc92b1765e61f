//! eemt: a database that is away holds what depends on it.

use super::database::{DAY, Database, ago};
use super::eemt::{Eemt, all_of, borrowed, local};
use super::eemt_kinds::every_kind;
use crate::common::sources::{source, uuid, wait_for_source};
use crate::common::wait_for;

#[test]
fn a_database_that_is_away_holds_and_when_it_comes_all_goes() {
    for how in ["missing", "garbage", "empty", "without the table"] {
        let eemt = Eemt::with_mode("DELETE");
        let kinds = every_kind(&eemt);
        let before = eemt.site.tree();
        let (db, aside) = (
            eemt.db.path().to_path_buf(),
            eemt.site.place.path("aside.db"),
        );
        match how {
            "without the table" => eemt.db.run("ALTER TABLE jobs RENAME TO later"),
            _ => std::fs::rename(&db, &aside).unwrap(),
        }
        match how {
            "garbage" => std::fs::write(&db, vec![b'x'; 9000]).unwrap(),
            "empty" => std::fs::write(&db, b"").unwrap(),
            _ => {}
        }
        let daemon = eemt.site.serve();
        wait_for_source(&daemon, "eemt", "down");
        let mut during = before.clone();
        if how != "without the table" {
            during = eemt.site.tree();
        }
        eemt.site.assert_all_stay(&daemon, &during);
        match how {
            "without the table" => eemt.db.run("ALTER TABLE later RENAME TO jobs"),
            _ => std::fs::rename(&aside, &db).unwrap(),
        }
        let left = eemt
            .site
            .wait_until_gone(&daemon, &before, &borrowed(&kinds.due));
        eemt.wait_until_marked(&daemon, &borrowed(&kinds.marked));
        eemt.site.assert_all_stay(&daemon, &left);
        wait_for_source(&daemon, "eemt", "ready");
    }
}

#[test]
fn a_database_that_goes_away_meanwhile_holds_and_nothing_is_lost() {
    for how in ["unlinked", "garbage", "emptied", "locked"] {
        let eemt = Eemt::with_mode("DELETE");
        let id = uuid(1);
        eemt.job(&id, "running", None);
        let before = eemt.site.tree();
        let daemon = eemt.serve();
        let (db, aside) = (
            eemt.db.path().to_path_buf(),
            eemt.site.place.path("aside.db"),
        );
        let end = format!(
            "UPDATE jobs SET status = 'completed', completed_at = '{}'",
            local(ago(8 * DAY))
        );
        let mut away = before.clone();
        match how {
            "locked" => {
                eemt.db.run("BEGIN EXCLUSIVE");
                eemt.db.run(&end);
                eemt.site.assert_all_stay(&daemon, &before);
                eemt.db.run("COMMIT");
            }
            "emptied" => {
                let rows = eemt.rows();
                eemt.db
                    .run("CREATE TABLE kept AS SELECT * FROM jobs; DELETE FROM jobs");
                wait_for("it is read", || {
                    (source(&daemon, "eemt")["jobs"] == 0).then_some(())
                });
                // This system has no orphans: what nobody owns stays.
                eemt.site.assert_all_stay(&daemon, &before);
                eemt.db
                    .run("INSERT INTO jobs SELECT * FROM kept; DROP TABLE kept");
                assert_eq!(eemt.rows(), rows);
                eemt.db.run(&end);
            }
            _ => {
                std::fs::rename(&db, &aside).unwrap();
                if how == "garbage" {
                    std::fs::write(&db, vec![b'x'; 9000]).unwrap();
                }
                wait_for_source(&daemon, "eemt", "down");
                let moved = Database::open(&aside, "DELETE");
                moved.run(&end);
                away = eemt.site.tree();
                eemt.site.assert_all_stay(&daemon, &away);
                drop(moved);
                std::fs::rename(&aside, &db).unwrap();
            }
        }
        assert!(away.0.len() >= before.0.len());
        let gone = all_of(&id);
        let left = eemt
            .site
            .wait_until_gone(&daemon, &before, &borrowed(&gone));
        eemt.wait_until_marked(&daemon, &[&id]);
        eemt.site.assert_all_stay(&daemon, &left);
    }
}
