// Sources, receivers, pauses, schedules, and the daemon itself.

import { get, may, post, session } from "./api.js";
import { button, bytes, card, count, details, dialog, duration, fill, forRole, h, many, path, pill, prose, table, time, visible } from "./dom.js";
import { attempt } from "./files.js";
import { beginPause, endPause } from "./overview.js";

export const title = "System";

const seconds = (of) => (of === null ? "for ever" : duration(of * 1000));

export function view(page) {
  const [sources, receivers, deliveries, pauses, settings, daemon] = Array.from({ length: 6 }, () => h("div"));

  const test = (name) => attempt(async () => {
    const { attempts } = await post(`/v1/notify/test/${encodeURIComponent(name)}`);
    await dialog(
      `Test of ${visible(name)}`,
      table(
        "Attempts", ["Way", "Took", "Result"],
        attempts.map((one) => [one.channel, duration(one.took_ms), one.error ? [pill("failed", "bad"), ` ${prose(one.error)}`] : pill("taken", "ok")])
      )
    );
    page.now();
  });
  const change = (verb, name) => dialog(verb === "retry" ? "Deliver again?" : "Drop?", h(
    "p", null,
    `What waits for ${visible(name)} or was given up is ${verb === "retry" ? "delivered at once" : "never delivered"}.`
  ), {
    action: verb === "retry" ? "Deliver" : "Drop", danger: verb === "drop", act: async () => {
      const { notifications } = await post(`/v1/notify/${verb}`, { receiver: name });
      page.now();
      return h("p", null, many(notifications, "notification"));
    },
  });

  const source = (of) => [visible(of.name), of.kind, [
    pill(of.state, { ready: "ok", loading: "busy", down: "bad" }[of.state]), of.why && h("small", null, prose(of.why))
  ], count(of.jobs), of.read_at ? time(of.read_at) : "–",
    of.waiting_records ? [
      many(of.waiting_records, "record"), " since ", time(of.waiting_since), of.refused_records > 0 && `, ${count(of.refused_records)} refused`,
      of.last_error && h("small", null, prose(of.last_error))
    ] : "–"];
  const receiver = (of) => [
    visible(of.name), of.channel, of.destination ? visible(of.destination) : "not configured any more", [
      of.error ? pill("failing", "bad") : pill("ok", "ok"),
      of.error && h("small", null, prose(of.error), " ", of.next && ["next attempt ", time(of.next)])
    ],
    count(of.waiting), count(of.given_up), count(of.delivered), of.delivered_at ? time(of.delivered_at) : "–",
    [may("operator") && of.destination && button("Test", () => test(of.name), { "data-key": `test-${of.name}-${of.channel}`, "aria-label": `Test ${of.name}` }),
      may("operator") && of.waiting + of.given_up > 0 && button("Deliver…", () => change("retry", of.name), { "data-key": `retry-${of.name}-${of.channel}` }),
      may("admin") && of.waiting + of.given_up > 0 && button("Drop…", () => change("drop", of.name), { "data-key": `drop-${of.name}-${of.channel}` })]];

  async function refresh(status) {
    const [told, rules] = await Promise.all([get("/v1/notify"), get("/v1/settings")]);
    fill(
      sources, status.sources,
      (list) => table("Sources", ["Name", "Kind", "State", "#Jobs", "Read", "Records that wait"], list.map(source), "There is no source of jobs.")
    );
    fill(
      receivers, [told.receivers, session.role],
      ([list]) => table(
        "Receivers", ["Name", "Way", "Destination", "State", "#Waiting", "#Given up", "#Delivered", "Last", ""], list.map(receiver),
        "Nobody is notified: [[notify]] in the configuration names receivers."
      )
    );
    fill(deliveries, told.deliveries, (list) => list.length > 0 && details(
      "deliveries", `${many(list.length, "notification")} that wait or were given up`,
      () => table(
        "Notifications", ["At", "Receiver", "Title", "#Attempts", "Error"],
        list.slice(0, 100).map((one) => [
          time(one.at), `${visible(one.receiver)} (${one.channel})`, visible(one.title), count(one.attempts), one.error ? prose(one.error) : "–"
        ])
      )
    ));
    fill(pauses, [status.pauses, session.role, status.roots.map((root) => root.name)], ([list, , roots]) => [
      table(
        "Pauses", ["Root", "By", "Why", "Began", "Ends", ""],
        list.map((one) => [
          visible(one.root ?? "all roots"), visible(one.who), prose(one.why), time(one.since), time(one.until),
          may("admin") && button("End…", () => endPause(one, page), { "data-key": `end-${one.root}` })
        ]),
        "Removals are not paused."
      ),
      h("div", { class: "actions" }, forRole(may("admin"), "admin", "Pause…", () => beginPause(page, roots), { "data-key": "pause" })),
    ]);
    fill(settings, [rules.rules, status.schedules], () => [
      table(
        "Rules", ["Rule", "Roots", "Lives", "Since", "Unit", "Removes"],
        rules.rules.map((one) => [
          [visible(one.name), !one.enabled && pill("off")], visible(one.roots.join(", ")), seconds(one.expire), one.since, one.unit,
          one.schedule ?? "at the deadline"
        ])
      ),
      status.schedules.length > 0 && table(
        "Schedules", ["Schedule", "At", "Next"],
        status.schedules.map((one) => [
          visible(one.name), one.at ?? (one.every === null ? "at the start" : `every ${seconds(one.every)}`), one.next ? time(one.next) : "–"
        ])
      ),
    ]);
    const facts = [
      ["Version", status.version], ["Process", `${status.pid}, started `, time(status.started)], ["Processor", duration(status.cpu_ms)], [
        "Memory", status.resident_bytes === null ? "–" : bytes(status.resident_bytes)
      ],
      [
        "Configuration", status.configuration.file ? path(status.configuration.file) : "the command line", ", in force since ",
        time(status.configuration.since)
      ],
      [
        "Watches",
        `${many(status.watches.count, "directory", "directories")} by ${status.watches.backend}, `,
        `${count(status.watches.missing)} without a watch, ${many(status.watches.overflows, "overflow")}`
      ],
      ["Ledger", `${many(status.ledger.segments, "segment")}, ${bytes(status.ledger.size_bytes)}, ${many(status.ledger.errors, "failed write")}`],
      ["Queue", `${count(status.queues.inputs)} of ${count(status.queues.inputs_max)} inputs, ${many(status.queues.claims, "claim")}`],
      ["Ports", status.http.map((port) => `${port.address}${port.tls ? " (TLS)" : ""}`).join(", ") || "the socket alone"],
    ];
    fill(
      daemon, [status.pid, status.cpu_ms, status.resident_bytes, status.watches, status.ledger, status.queues, status.configuration],
      () => h("dl", null, facts.map(([name, ...values]) => [h("dt", null, name), h("dd", null, values)]))
    );
  }

  const node = h("div", { class: "grid" }, card("Pauses", { wide: true, id: "pauses" }, pauses), card("Sources", { wide: true, id: "sources" }, sources), card(
    "Notifications", { wide: true, id: "receivers" }, receivers, deliveries
  ),
    card("Rules", { wide: true, id: "rules" }, settings), card("Daemon", { wide: true, id: "daemon" }, daemon));
  return { node, refresh };
}
