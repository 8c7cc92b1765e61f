//! Deliveries: their order, their ids, and the limits of their queues.

use super::*;
use crate::registry::{
    DeliveryFilter, GIVEN_UP_MAX, NewDelivery, QueueName, QueueSums, WAITING_MAX,
};

fn queue(receiver: &str) -> QueueName {
    QueueName {
        receiver: receiver.to_owned(),
        channel: "webhook".to_owned(),
    }
}

fn delivery(receiver: &str, id: u64) -> NewDelivery {
    NewDelivery {
        queue: queue(receiver),
        id: id.to_string(),
        kind: "run".to_owned(),
        title: format!("run {id}"),
        at: at(i64::try_from(id).unwrap()),
        body: "{}".to_owned(),
    }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

fn ids(registry: &Registry, receiver: &str) -> Vec<String> {
    let next = registry.next_deliveries(&queue(receiver), 100).unwrap();
    next.into_iter().map(|one| one.put.id).collect()
}

fn sums(registry: &Registry) -> QueueSums {
    registry.delivery_sums().unwrap().remove(0)
}

#[test]
fn deliveries_come_in_order_once_for_each_id_and_outlive_the_process() {
    let dir = scratch();
    let registry = open(&dir);
    let position = ("ledger:ops".to_owned(), "1-2".to_owned());
    let put = [delivery("ops", 7), delivery("ops", 3), delivery("other", 7)];
    registry
        .put_deliveries(&put, std::slice::from_ref(&position))
        .unwrap();
    drop(registry);
    let registry = open(&dir);
    assert_eq!(
        registry.notify_position("ledger:ops").unwrap().as_deref(),
        Some("1-2")
    );
    assert_eq!(registry.notify_positions("ledger:").unwrap(), [position]);
    registry
        .put_deliveries(&[delivery("ops", 7), delivery("ops", 9)], &[])
        .unwrap();
    assert_eq!(ids(&registry, "ops"), ["7", "3", "9"]);
    let next = registry.next_deliveries(&queue("ops"), 1).unwrap();
    registry
        .delivery_failed(&[next[0].number], "refused", at(50), at(60))
        .unwrap();
    let failed = registry.next_deliveries(&queue("ops"), 1).unwrap();
    assert_eq!((failed[0].attempts, failed[0].due), (1, at(60)));
    assert_eq!(failed[0].error.as_deref(), Some("refused"));
    registry
        .delivered(&queue("ops"), &[next[0].number], at(70))
        .unwrap();
    assert_eq!(ids(&registry, "ops"), ["3", "9"]);
    assert_eq!(ids(&registry, "other"), ["7"]);
    let sums = sums(&registry);
    assert_eq!((sums.waiting, sums.since), (2, Some(at(3))));
    assert_eq!((sums.delivered, sums.delivered_at), (1, Some(at(70))));
}

#[test]
fn what_was_given_up_can_be_retried_in_its_order_or_dropped() {
    let dir = scratch();
    let registry = open(&dir);
    let put: Vec<_> = (1..=4).map(|id| delivery("ops", id)).collect();
    registry.put_deliveries(&put, &[]).unwrap();
    let all = registry.next_deliveries(&queue("ops"), 9).unwrap();
    registry
        .give_up(&queue("ops"), &[all[0].number, all[2].number], "410", at(9))
        .unwrap();
    assert_eq!(ids(&registry, "ops"), ["2", "4"]);
    let given_up = DeliveryFilter {
        is_given_up: true,
        ..DeliveryFilter::default()
    };
    assert_eq!(registry.deliveries(&given_up, 9).unwrap().len(), 2);
    let one = DeliveryFilter {
        receiver: Some("ops".to_owned()),
        numbers: vec![all[2].number],
        is_given_up: false,
    };
    assert_eq!(registry.retry_deliveries(&one, at(20)).unwrap(), 1);
    assert_eq!(ids(&registry, "ops"), ["2", "3", "4"]);
    assert_eq!(registry.deliveries(&one, 9).unwrap()[0].since, at(20));
    assert_eq!(registry.drop_deliveries(&given_up).unwrap(), 1);
    let none = DeliveryFilter {
        receiver: Some("nobody".to_owned()),
        ..DeliveryFilter::default()
    };
    assert_eq!(registry.drop_deliveries(&none).unwrap(), 0);
    let sums = sums(&registry);
    assert_eq!((sums.waiting, sums.given_up, sums.given_up_ever), (3, 0, 2));
}

#[test]
fn a_queue_has_a_limit_and_counts_what_it_leaves_out() {
    let dir = scratch();
    let registry = open(&dir);
    let put: Vec<_> = (0..WAITING_MAX + 2).map(|id| delivery("ops", id)).collect();
    registry.put_deliveries(&put, &[]).unwrap();
    assert_eq!(
        (sums(&registry).waiting, sums(&registry).left_out),
        (WAITING_MAX, 2)
    );
    let all = registry
        .next_deliveries(&queue("ops"), usize::try_from(WAITING_MAX).unwrap())
        .unwrap();
    let numbers: Vec<_> = all.iter().map(|one| one.number).collect();
    registry
        .give_up(&queue("ops"), &numbers, "410", at(9))
        .unwrap();
    let sums = sums(&registry);
    assert_eq!(
        (sums.given_up, sums.given_up_ever),
        (GIVEN_UP_MAX, WAITING_MAX)
    );
}
