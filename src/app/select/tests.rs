//! Orders and cursors against a naive sort.

use proptest::prelude::*;

use super::*;
use crate::core::time::Timestamp;

#[derive(Clone, Debug)]
struct File {
    dir: &'static str,
    name: String,
    size: u64,
    mtime: i64,
    deadline: Option<i64>,
}

impl File {
    fn path(&self) -> Vec<u8> {
        [self.dir, &self.name].concat().into_bytes()
    }

    fn values(&self) -> Values<'static> {
        Values {
            root: b"\"r\"",
            size: self.size,
            mtime: Timestamp::from_unix_ms(self.mtime),
            job: None,
            source: None,
            status: None,
            rule: None,
            deadline: self.deadline.map(Timestamp::from_unix_ms),
            lapses_at: None,
            reason: None,
            hold: None,
            pin: None,
        }
    }
}

fn files() -> impl Strategy<Value = Vec<File>> {
    let dirs = prop_oneof![Just("/a/"), Just("/a/b/"), Just("/ab/"), Just("/")];
    let numbers = prop_oneof![-3_i64..3, any::<i64>()];
    let file = (
        dirs,
        "[ab!]{1,3}",
        0_u64..4,
        numbers,
        proptest::option::of(-3_i64..3),
    );
    let file = file.prop_map(|(dir, name, size, mtime, deadline)| File {
        dir,
        name,
        size,
        mtime,
        deadline,
    });
    proptest::collection::vec(file, 0..40).prop_map(|mut files| {
        files.sort_by_key(File::path);
        files.dedup_by_key(|file| file.path());
        files
    })
}

fn page(files: &[File], order: Order, after: Option<Place>, limit: usize) -> (Vec<Picked>, bool) {
    let mut first = First::new(order, after, limit);
    for file in files {
        first.offer(
            file.dir.as_bytes(),
            file.name.as_bytes(),
            &file.values(),
            |to| {
                to.extend_from_slice(&file.path());
            },
        );
    }
    first.finish()
}

/// All in order, the obvious way.
fn sorted(mut files: Vec<File>, order: Order) -> Vec<Vec<u8>> {
    files.sort_by_key(File::path);
    match (order.by, order.reverse) {
        (SortBy::Path, false) => {}
        (SortBy::Path, true) => files.reverse(),
        (SortBy::Age, false) => files.sort_by_key(|file| file.mtime),
        (SortBy::Age, true) => files.sort_by_key(|file| std::cmp::Reverse(file.mtime)),
        (SortBy::Size, false) => files.sort_by_key(|file| std::cmp::Reverse(file.size)),
        (SortBy::Size, true) => files.sort_by_key(|file| file.size),
        (SortBy::Deadline, false) => {
            files.sort_by_key(|file| (file.deadline.is_none(), file.deadline));
        }
        (SortBy::Deadline, true) => {
            files.sort_by_key(|file| (file.deadline.is_none(), std::cmp::Reverse(file.deadline)));
        }
    }
    files.iter().map(File::path).collect()
}

fn orders() -> impl Strategy<Value = Order> {
    let by = prop_oneof![
        Just(SortBy::Age),
        Just(SortBy::Size),
        Just(SortBy::Deadline),
        Just(SortBy::Path)
    ];
    (by, any::<bool>()).prop_map(|(by, reverse)| Order { by, reverse })
}

proptest! {
    #[test]
    fn pages_put_together_are_the_sorted_list(files in files(), order in orders(), limit in 1_usize..9) {
        let expected = sorted(files.clone(), order);
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let (picked, has_more) = page(&files, order, after, limit);
            prop_assert!(picked.len() <= limit);
            all.extend(picked.iter().map(|picked| picked.json.clone()));
            if !has_more {
                break;
            }
            let last = picked.last().expect("a page with more behind it has something");
            let cursor = order.cursor(&last.place);
            after = Some(order.place(&cursor).unwrap());
        }
        prop_assert_eq!(all, expected);
    }

    #[test]
    fn a_cursor_survives_the_loss_of_its_entry(files in files(), order in orders(), at in any::<prop::sample::Index>()) {
        prop_assume!(!files.is_empty());
        let (all, _) = page(&files, order, None, 100);
        let at = at.index(all.len());
        let gone = all[at].json.clone();
        let left: Vec<_> = files.into_iter().filter(|file| file.path() != gone).collect();
        let (rest, _) = page(&left, order, Some(all[at].place.clone()), 100);
        let rest: Vec<_> = rest.iter().map(|picked| &picked.json).collect();
        let expected: Vec<_> = all[at + 1..].iter().map(|picked| &picked.json).collect();
        prop_assert_eq!(rest, expected);
    }
}

#[test]
fn cursors_of_other_orders_and_broken_ones_are_refused() {
    let by_age = Order {
        by: SortBy::Age,
        reverse: false,
    };
    let reverse = Order {
        reverse: true,
        ..by_age
    };
    let place = Place {
        rank: 7,
        path: b"/a".to_vec(),
    };
    let cursor = by_age.cursor(&place);
    assert_eq!(by_age.place(&cursor), Ok(place));
    for (order, cursor) in [
        (reverse, cursor.as_str()),
        (by_age, ""),
        (by_age, "YQ"),
        (by_age, "*"),
    ] {
        assert_eq!(
            order.place(cursor).unwrap_err().kind,
            crate::app::ErrorKind::Invalid,
            "{cursor}"
        );
    }
}
