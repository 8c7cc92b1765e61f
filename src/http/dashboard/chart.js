// Charts of one series as SVG, each with a table that says the same.

import { details, h, table } from "./dom.js";

const HEIGHT = 150;
const [LEFT, RIGHT, TOP, BOTTOM] = [56, 8, 10, 22];

const svg = (tag, attributes, ...children) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

// The next round number that is no smaller: 1, 2 or 5 and zeros; of bytes, by 1024.
function ceiling(value, isBytes) {
  if (value <= 0) return 1;
  const base = isBytes ? 1024 ** Math.floor(Math.log2(value) / 10) : 1;
  const step = 10 ** Math.floor(Math.log10(value / base));
  return base * step * [1, 2, 5, 10].find((factor) => factor * step * base >= value);
}

// A bar that is full to `value` of `most`; `text` says the same.
export function meter(label, value, most, text) {
  const part = most ? Math.min(1, value / most) : 0;
  return h("div", { class: "meter" }, h("span", null, label), h("span", { class: "quiet" }, text),
    h("div", {
      role: "meter", class: part > 0.9 && "full", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100,
      "aria-valuenow": Math.round(part * 100), "aria-valuetext": text
    },
      svg("svg", { viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { width: part * 100, height: 1 }))));
}

// Draws `points` ({ label, value }, value null where nothing is known) as "bars" or as a "line".
export function chart({ label, kind = "bars", points, format, isBytes = false, empty = "Nothing in this time.", key }) {
  const told = points.filter((point) => point.value !== null);
  if (!told.some((point) => point.value)) return h("p", { class: "quiet" }, empty);
  const most = told.reduce((one, two) => (two.value > one.value ? two : one), told[0]);
  const summary = `${points[0].label} to ${points.at(-1).label}; at most ${format(most.value)} (${most.label})`;
  const reading = h("p", { class: "reading", "aria-hidden": "true" }, summary);
  const space = h("div", { class: "plot" });
  const figure = h("figure", { class: "chart" }, space, reading, details(`table-${key ?? label}`, "As a table", () =>
    h("div", { class: "tall", tabindex: "0", role: "region", "aria-label": `${label}: values` },
      table(label, ["Time", `#${label}`], points.map((point) => [point.label, point.value === null ? "–" : format(point.value)])))));

  const draw = (width) => {
    const [wide, high] = [Math.max(width - LEFT - RIGHT, 10), HEIGHT - TOP - BOTTOM];
    const top = ceiling(most.value, isBytes);
    const step = wide / Math.max(points.length, 1);
    const x = (at) => LEFT + step * (at + 0.5);
    const y = (value) => TOP + high - (high * value) / top;
    const all = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": `${label}: ${summary}` });
    for (const value of top > 1 || isBytes ? [0, top / 2, top] : [0, top]) {
      all.append(
        svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value), class: "grid" }),
        svg("text", { x: LEFT - 6, y: y(value) + 4, class: "scale end" }, format(value)));
    }
    const marks = Math.max(2, Math.min(points.length, Math.floor(wide / 90)));
    for (let mark = 0; mark < marks && points.length > 1; mark += 1) {
      const at = Math.round((mark * (points.length - 1)) / (marks - 1));
      const side = mark === 0 ? "start" : mark === marks - 1 ? "end" : "middle";
      const place = side === "start" ? LEFT : side === "end" ? width - RIGHT : x(at);
      all.append(svg("text", { x: place, y: HEIGHT - 5, class: `scale ${side}` }, points[at].short ?? points[at].label));
    }
    const cursor = svg("rect", { y: TOP, height: high, width: Math.max(step, 1), class: "cursor" });
    all.append(cursor);
    if (kind === "bars") {
      const gap = Math.min(step * 0.2, 3);
      points.forEach((point, at) => {
        if (!point.value) return;
        const height = Math.max((high * point.value) / top, 1.5);
        all.append(svg(
          "rect",
          { x: LEFT + step * at + gap / 2, y: TOP + high - height, width: Math.max(step - gap, 0.5), height, rx: Math.min(2, step / 4), class: "bar" }
        ));
      });
    } else {
      // A gap in what is known is a gap in the line.
      const runs = [[]];
      points.forEach((point, at) => (point.value === null ? runs.push([]) : runs.at(-1).push([x(at), y(point.value)])));
      for (const run of runs.filter((some) => some.length)) {
        const line = run.map((pair) => pair.join(" ")).join(" L ");
        if (run.length === 1) all.append(svg("circle", { cx: run[0][0], cy: run[0][1], r: 2, class: "dot" }));
        else all.append(
          svg("path", { d: `M ${run[0][0]} ${TOP + high} L ${line} L ${run.at(-1)[0]} ${TOP + high} Z`, class: "area" }),
          svg("path", { d: `M ${line}`, class: "line" })
        );
      }
    }
    const read = (event) => {
      const at = Math.min(points.length - 1, Math.max(0, Math.floor((event.clientX - all.getBoundingClientRect().left - LEFT) / step)));
      const point = points[at];
      if (!point) return;
      cursor.setAttribute("x", LEFT + step * at);
      cursor.classList.add("on");
      reading.textContent = `${point.label}: ${point.value === null ? "not known" : format(point.value)}`;
    };
    all.addEventListener("pointermove", read);
    all.addEventListener("pointerdown", read);
    all.addEventListener("pointerleave", () => {
      cursor.classList.remove("on");
      reading.textContent = summary;
    });
    space.replaceChildren(all);
  };

  let drawn = 0;
  new ResizeObserver(([entry]) => {
    const width = Math.round(entry.contentRect.width);
    if (width && width !== drawn) draw((drawn = width));
  }).observe(space);
  return figure;
}
