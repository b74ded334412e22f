// The panel's parts. Each builds its elements once and returns an update function that takes the snapshot (or a piece of
// it) and redraws only what changed; none of them talks to anybody.

const STAGES = ["replay", "paper", "testnet", "live"];
const STEP_WORDS = { done: "passed", current: "now here", open: "ready", locked: "locked" };
const STEP_MARKS = { done: "✓", current: "●", open: "→", locked: "" };

function ladderPart() {
  const steps = node("ol", "atl-ladder");
  const evidence = node("div", "atl-evidence");
  evidence.hidden = true;
  const element = node("section", "atl-ladder-box", steps, evidence);
  element.setAttribute("aria-label", "Stage ladder");
  evidence.id = "atl-evidence-" + Math.random().toString(36).slice(2);
  const known = new Map();
  let ladder = [];
  let opened = null;

  function drawEvidence() {
    const rung = ladder.find((candidate) => candidate.stage === opened);
    evidence.hidden = !rung;
    for (const [stage, step] of known) step.button.setAttribute("aria-expanded", String(stage === opened));
    if (!rung) return;
    whenChanged(evidence, rung, () => {
      const checks = rung.checks || [];
      const { element: grid, body } = table("atl-table", `Evidence for ${rung.stage}`, [
        { title: "" }, { title: "Check" }, { title: "Asked", right: true }, { title: "Got", right: true }, { title: "Why" },
      ]);
      for (const check of checks) {
        const mark = cell(check.passed ? "✓" : "✗", check.passed ? "atl-up" : "atl-down");
        mark.setAttribute("aria-label", check.passed ? "passed" : "not passed");
        body.append(node("tr", "", mark, cell(check.name), cell(evidenceFigure(check.asked), "atl-right"),
          cell(evidenceFigure(check.got), "atl-right"), cell(check.why || "", "atl-soft atl-wrap")));
      }
      if (checks.length === 0) body.append(emptyRow(5, "No evidence is asked for here."));
      const ready = rung.status === "open" ? node("p", "atl-ready", `Open. Climb with: await lab.promote("${rung.stage}")`) : null;
      evidence.replaceChildren(node("div", "atl-card-title", `What it takes to enter ${rung.stage}`), grid);
      if (ready) evidence.append(ready);
    });
  }

  function stepOf(stage) {
    if (known.has(stage)) return known.get(stage);
    const step = {
      mark: node("span", "atl-step-mark"), count: node("span", "atl-step-count"), word: node("span", "atl-step-word"),
      bar: node("span", "atl-step-fill"), button: node("button", "atl-step"),
    };
    step.mark.setAttribute("aria-hidden", "true");
    step.button.type = "button";
    step.button.dataset.rung = stage;
    step.button.setAttribute("aria-controls", evidence.id);
    step.button.append(node("span", "atl-step-top", step.mark, node("span", "atl-step-name", stage)),
      node("span", "atl-step-bottom", step.word, step.count), node("span", "atl-step-bar", step.bar));
    step.button.addEventListener("click", () => {
      opened = opened === stage ? null : stage;
      drawEvidence();
    });
    steps.append(node("li", "", step.button));
    known.set(stage, step);
    return step;
  }

  for (const stage of STAGES) stepOf(stage);
  return {
    element,
    update(rungs) {
      ladder = rungs || [];
      whenChanged(steps, ladder, () => {
        for (const rung of ladder) {
          const step = stepOf(rung.stage);
          const checks = rung.checks || [];
          const passed = checks.filter((check) => check.passed).length;
          step.button.dataset.status = rung.status;
          setText(step.mark, STEP_MARKS[rung.status] ?? "");
          setText(step.word, STEP_WORDS[rung.status] ?? rung.status);
          setText(step.count, checks.length ? `${passed}/${checks.length}` : "");
          step.button.title = checks.map((check) =>
            `${check.passed ? "✓" : "✗"} ${check.name}: asked ${evidenceFigure(check.asked)}, got ${evidenceFigure(check.got)}`,
          ).join("\n");
          step.bar.style.width = checks.length ? `${(100 * passed) / checks.length}%` : rung.status === "done" ? "100%" : "0";
          if (rung.status === "current") step.button.setAttribute("aria-current", "step");
          else step.button.removeAttribute("aria-current");
        }
      });
      drawEvidence();
    },
  };
}

function equityPart() {
  const value = node("div", "atl-figure", DASH);
  const change = node("div", "atl-change");
  const svg = svgNode("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" });
  const area = svgNode("path", { class: "atl-area" });
  const base = svgNode("line", { class: "atl-base", x1: 0, x2: 100 });
  const line = svgNode("path", { class: "atl-line" });
  svg.append(area, base, line);
  const dot = node("span", "atl-dot");
  const cursor = node("span", "atl-cursor");
  const tip = node("span", "atl-tip");
  const chart = node("div", "atl-chart", svg, dot, cursor, tip);
  chart.setAttribute("role", "img");
  const stats = node("dl", "atl-stats");
  const element = node("section", "atl-card atl-equity",
    node("div", "atl-card-title", "Equity"), node("div", "atl-equity-head", value, change), chart, stats);
  let points = [];
  let scale = null;

  function draw(equity) {
    points = (equity.series || []).filter((point) => isNumber(point[0]) && isNumber(point[1]));
    chart.classList.toggle("atl-blank", points.length < 2);
    if (points.length < 2) return;
    const start = asNumber(equity.start) ?? points[0][1];
    const values = points.map((point) => point[1]);
    const low = Math.min(start, ...values);
    const high = Math.max(start, ...values);
    const room = (high - low) * 0.08 || Math.abs(high) * 0.001 || 1;
    scale = {
      x: (index) => (100 * index) / (points.length - 1),
      y: (amount) => (100 * (high + room - amount)) / (high - low + 2 * room),
    };
    const path = points.map((point, index) =>
      `${index ? "L" : "M"}${scale.x(index).toFixed(2)} ${scale.y(point[1]).toFixed(2)}`).join("");
    line.setAttribute("d", path);
    area.setAttribute("d", `${path}L100 100L0 100Z`);
    for (const end of ["y1", "y2"]) base.setAttribute(end, scale.y(start).toFixed(2));
    dot.style.top = `${scale.y(values.at(-1))}%`;
    chart.dataset.tone = values.at(-1) < start ? "down" : "up";
    chart.setAttribute("aria-label",
      `Equity line, ${points.length} points, from ${money(values[0])} to ${money(values.at(-1))}`);
  }

  chart.addEventListener("pointermove", (event) => {
    if (points.length < 2 || !scale) return;
    const box = chart.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    const index = Math.round(share * (points.length - 1));
    chart.classList.add("atl-hover");
    cursor.style.left = `${scale.x(index)}%`;
    tip.style.left = `${Math.min(Math.max(scale.x(index), 12), 88)}%`;
    setText(tip, `${clockTime(points[index][0])} UTC  ${money(points[index][1])}`);
  });
  chart.addEventListener("pointerleave", () => chart.classList.remove("atl-hover"));

  return {
    element,
    update(given) {
      const equity = given || {};
      whenChanged(element, equity, () => {
        setText(value, money(equity.value));
        const gain = isNumber(asNumber(equity.value)) && asNumber(equity.start)
          ? asNumber(equity.value) - asNumber(equity.start) : null;
        change.className = `atl-change ${tone(gain)}`;
        setText(change, gain === null ? "" : `${signedMoney(gain)}  (${percent(gain / asNumber(equity.start))})`);
        draw(equity);
        stats.replaceChildren(
          ...figure("Realised", signedMoney(equity.realised), tone(equity.realised)),
          ...figure("Unrealised", signedMoney(equity.unrealised), tone(equity.unrealised)),
          ...figure("Fees", money(equity.fees)), ...figure("Drawdown", percent(equity.drawdown)));
      });
    },
  };
}

function figure(title, text, className = "", hint = "") {
  const pair = node("div", "atl-stat", node("dt", "", title), node("dd", className, text));
  if (hint) pair.title = hint;
  return [pair];
}

const COUNTERS = [
  ["decisions", "Decisions"], ["orders", "Orders"], ["fills", "Fills"], ["denied", "Denied"], ["rejected", "Rejected"],
  ["unknown", "Unknown"], ["unreconciled", "Unreconciled"], ["dead_letters", "Dead letters"],
];
const ALARMING = new Set(["unknown", "unreconciled", "dead_letters"]);
const LATENCIES = [
  ["decision_to_wire_us", "Decision → wire", "µs"], ["submit_to_ack_ms", "Submit → ack", "ms"],
  ["fill_to_notified_ms", "Fill → strategy", "ms"],
];

// The specification's performance table.
const RATES = [
  ["success", "Orders taken", "> 99 %", (rate) => rate > 0.99],
  ["dead_letters", "Dead letters", "< 0.1 %", (rate) => rate < 0.001],
];

function rateRow(rates, [key, title, asked, holds]) {
  const rate = asNumber(rates[key]);
  const mark = cell(rate === null ? "" : holds(rate) ? "✓" : "✗", "atl-right");
  if (rate !== null) {
    mark.classList.add(holds(rate) ? "atl-up" : "atl-down");
    mark.setAttribute("aria-label", holds(rate) ? "holds" : "does not hold");
  }
  return node("tr", "", cell(title, "atl-soft"), cell(percent(rate), "atl-right"), cell(asked, "atl-right atl-soft"), mark);
}

function countersPart() {
  const counts = node("dl", "atl-stats");
  const { element: rateGrid, body: rateBody } = table("atl-table atl-rates", "Rates against the specification", [
    { title: "Rate" }, { title: "now", right: true }, { title: "asked", right: true }, { title: "", right: true },
  ]);
  const { element: grid, body } = table("atl-table atl-latency", "Latency", [
    { title: "Latency" }, { title: "p50", right: true }, { title: "p99", right: true }, { title: "n", right: true },
  ]);
  const element = node("section", "atl-card", node("div", "atl-card-title", "Counters"), counts, rateGrid, grid);
  const spell = (value) => (isNumber(value) ? decimals(value, 0, value >= 100 ? 0 : value >= 10 ? 1 : 2) : DASH);
  return {
    element,
    update(counters, latency, rates) {
      rateGrid.hidden = !rates;
      whenChanged(rateBody, rates || {}, (now) => rateBody.replaceChildren(...RATES.map((rate) => rateRow(now, rate))));
      whenChanged(counts, counters, () => {
        counts.replaceChildren(...COUNTERS.flatMap(([key, title]) => {
          const value = (counters || {})[key];
          return figure(title, value ?? DASH, ALARMING.has(key) && value > 0 ? "atl-down" : "");
        }));
      });
      whenChanged(body, latency, () => {
        body.replaceChildren(...LATENCIES.map(([key, title, unit]) => {
          const span = (latency || {})[key] || {};
          return node("tr", "", cell(`${title}, ${unit}`, "atl-soft"), cell(spell(span.p50), "atl-right"),
            cell(spell(span.p99), "atl-right"), cell(span.n ?? DASH, "atl-right atl-soft"));
        }));
      });
    },
  };
}

function positionsPart() {
  const { element: grid, body } = table("atl-table", "Positions", [
    { title: "Symbol" }, { title: "Quantity", right: true }, { title: "Average", right: true },
    { title: "Mark", right: true }, { title: "Unrealised", right: true }, { title: "Realised", right: true },
  ]);
  const element = node("section", "atl-card", node("div", "atl-card-title", "Positions"), node("div", "atl-scroll", grid));
  return {
    element,
    update(positions) {
      whenChanged(body, positions || [], (rows) => {
        body.replaceChildren(...rows.map((row) => node("tr", "", cell(row.symbol, "atl-strong"),
          cell(quantity(row.quantity), "atl-right"), cell(price(row.average_price), "atl-right"),
          cell(price(row.mark), "atl-right"), cell(signedMoney(row.unrealised), `atl-right ${tone(row.unrealised)}`),
          cell(signedMoney(row.realised), `atl-right ${tone(row.realised)}`))));
        if (rows.length === 0) body.append(emptyRow(6, "Flat: no open position."));
      });
    },
  };
}

function ordersPart() {
  const columns = [
    { title: "Time, UTC" }, { title: "Symbol" }, { title: "Side" }, { title: "Type" }, { title: "Filled", right: true },
    { title: "Quantity", right: true }, { title: "Price", right: true }, { title: "Average", right: true },
    { title: "Status" }, { title: "Reason" },
  ];
  const { element: grid, body } = table("atl-table", "Orders, newest first", columns);
  const count = node("span", "atl-soft");
  const element = node("section", "atl-card atl-wide", node("div", "atl-card-title", "Orders ", count),
    node("div", "atl-scroll atl-tall", grid));
  element.querySelector(".atl-scroll").tabIndex = 0;
  const seen = new Set();
  return {
    element,
    update(orders) {
      whenChanged(body, orders || [], (rows) => {
        const first = seen.size === 0;
        const working = rows.filter((row) => ["pending", "submitted", "partial_fill", "unknown"].includes(row.status));
        setText(count, working.length ? `${working.length} working` : "");
        body.replaceChildren(...rows.map((row) => {
          const status = String(row.status || "");
          const badge = node("span", "atl-badge", status.replace("_", " "));
          badge.dataset.status = status;
          const line = node("tr", first || seen.has(row.client_order_id) ? "" : "atl-new",
            cell(clockTime(row.updated_ms), "atl-soft"), cell(row.symbol, "atl-strong"),
            cell(row.side, row.side === "buy" ? "atl-up" : "atl-down"), cell(String(row.type || "").replace("_", " ")),
            cell(quantity(row.filled), "atl-right"), cell(quantity(row.quantity), "atl-right"),
            cell(row.price === null ? "market" : price(row.price), "atl-right"),
            cell(price(row.average_price), "atl-right"), node("td", "", badge), cell(row.reason || "", "atl-soft atl-reason"));
          line.title = [`ours ${row.client_order_id}`, row.order_id ? `venue ${row.order_id}` : "", row.reason || ""]
            .filter(Boolean).join("\n");
          seen.add(row.client_order_id);
          return line;
        }));
        if (rows.length === 0) body.append(emptyRow(columns.length, "No order yet."));
      });
    },
  };
}

function alertsPart() {
  const list = node("ul", "atl-alerts");
  const element = node("section", "atl-card", node("div", "atl-card-title", "Alerts"), node("div", "atl-scroll", list));
  return {
    element,
    update(alerts) {
      whenChanged(list, alerts || [], (rows) => {
        list.replaceChildren(...rows.map((alert) => {
          const level = node("span", "atl-badge", alert.level);
          level.dataset.level = alert.level;
          return node("li", "", node("span", "atl-soft", clockTime(alert.t_ms)), level, node("span", "atl-code", alert.code),
            node("span", "atl-wrap", alert.message));
        }));
        if (rows.length === 0) list.append(node("li", "atl-empty", "Quiet."));
      });
    },
  };
}

// What becomes of working orders if the engine host itself dies: in words, because nobody looks it up at that moment.
function drawCoverage(element, coverage) {
  const told = coverage || {};
  element.hidden = !told.host;
  element.dataset.open = String(/^not covered/i.test(told.host || ""));
  setText(element, told.host ? `If the engine host dies: ${told.host}.` : "");
  element.title = ["notebook", "host", "machine"].filter((who) => told[who]).map((who) => `${who}: ${told[who]}`).join("\n");
}
