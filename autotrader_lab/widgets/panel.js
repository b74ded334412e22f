// The live panel of one session: a view on snapshots, with buttons. It owns no state of the session and knows no venue.
// Joined after the other panel_*.js into one module by panel.py.

const KILL_ARMED_MS = 6000;
const KILL_GUARD_MS = 250; // a nervous double click must not confirm what it has just armed
const SILENT_AFTER_MS = 1500;
const STARTABLE = new Set(["idle", "stopped", "failed"]);
const STOPPABLE = new Set(["starting", "running", "draining"]);

// What the kernel pushes and does, for front ends without our server extension. Its buttons wait for running cells.
function kernelRoute(model) {
  const waiting = new Map();
  model.on("msg:custom", (message) => {
    const settle = message && waiting.get(message.answer_to);
    if (settle) settle(message);
  });
  return {
    act(action, body, timeoutMs = ACTION_TIMEOUT_MS) {
      return new Promise((resolve) => {
        const id = Math.random().toString(36).slice(2);
        const timer = setTimeout(() => settle({ ok: false, message: "The kernel does not answer: it is busy or gone." }),
          timeoutMs);
        const settle = (answer) => {
          clearTimeout(timer);
          waiting.delete(id);
          resolve({ ok: Boolean(answer.ok), body: answer.body ?? null, message: answer.message || "" });
        };
        waiting.set(id, settle);
        try {
          model.send({ action, id, arguments: body });
        } catch (error) {
          settle({ ok: false, message: "The kernel is gone." });
        }
      });
    },
  };
}

function killText(body, session) {
  if (body.fallback) {
    return { level: "critical", text: body.message };
  }
  const seconds = isNumber(asNumber(body.seconds)) ? ` in ${asNumber(body.seconds).toFixed(2)} s` : "";
  const remaining = Array.isArray(body.remaining) ? body.remaining.length : body.remaining ?? 0;
  const cancelled = Array.isArray(body.cancelled) ? body.cancelled.length : body.cancelled ?? 0;
  const orders = cancelled === 1 ? "1 order" : `${cancelled} orders`;
  return body.verified
    ? { level: "halted", text: `Killed: ${orders} cancelled, nothing left at the venue${seconds}. ` +
        "Trading stays halted until you re-arm it: await lab.rearm()" }
    : { level: "critical", text: `Killed, but NOT verified: ${orders} cancelled, ${remaining} may still work. ` +
        `Look at the venue itself; session ${session}.` };
}

function renderPanel(model, el) {
  const session = model.get("session");
  const link = Link.to(session);
  const kernel = kernelRoute(model);

  const title = node("span", "atl-session", session);
  const subtitle = node("span", "atl-soft atl-subtitle");
  const label = node("span", "atl-label", "…");
  const state = node("span", "atl-chip");
  const trading = node("span", "atl-chip");
  const lease = node("span", "atl-chip");
  const start = button("atl-start", "Start", "Start the current stage");
  const stop = button("atl-stop", "Stop", "Stop trading: cancel what works, keep positions");
  const kill = button("atl-kill", "KILL", "Kill switch: refuse new orders, cancel everything (Alt+Shift+K twice)");
  const confirm = button("atl-kill atl-confirm", "Confirm KILL", "Cancel every order now and halt");
  const flatten = button("atl-kill atl-confirm", "KILL + flatten", "Cancel every order, close every position, halt");
  const back = button("", "Keep trading", "Do not kill (Esc)");
  const killBox = node("span", "atl-kill-box", kill);
  killBox.setAttribute("role", "group");
  killBox.setAttribute("aria-label", "Kill switch");

  const header = node("header", "atl-header",
    node("div", "atl-identity", label, node("div", "atl-names", title, subtitle)),
    node("div", "atl-chips", state, trading, lease), node("div", "atl-buttons", start, stop, killBox));
  const notice = node("div", "atl-notice");
  notice.setAttribute("role", "alert");
  notice.hidden = true;
  const progressFill = node("span", "atl-progress-fill");
  const progress = node("div", "atl-progress", progressFill);
  progress.setAttribute("role", "progressbar");
  progress.hidden = true;
  const attention = attentionPart((asked) => (viaServer() ? link : kernel).act("settle", asked, SETTLE_TIMEOUT_MS));
  const ladder = ladderPart();
  const equity = equityPart();
  const counters = countersPart();
  const positions = positionsPart();
  const orders = ordersPart();
  const alerts = alertsPart();
  const covered = node("p", "atl-coverage");
  covered.hidden = true;
  const footer = node("footer", "atl-footer");
  const route = node("span");
  const facts = node("span");
  footer.append(route, facts);
  const root = node("div", "atl", header, notice, attention.element, progress, ladder.element,
    node("div", "atl-grid", equity.element, counters.element, positions.element, alerts.element, orders.element),
    covered, footer);
  root.setAttribute("role", "region");
  root.setAttribute("aria-label", `AutoTrader Lab session ${session}`);
  el.replaceChildren(root);

  let outcome = null;
  let busy = false;
  let armedAtMs = null;
  let disarmTimer = null;
  let shown = null;
  let haltSeen = false;
  let beat = { value: null, seenMs: Date.now() };

  const viaServer = () => link.status !== "absent" && link.status !== "unknown";
  const current = () => (viaServer() ? link.snapshot ?? model.get("snapshot") : model.get("snapshot"));
  const hasData = (snapshot) => Boolean(snapshot && snapshot.stage !== undefined);

  function noticeNow(snapshot) {
    if (link.status === "silent" && Date.now() - (link.answeredAtMs ?? 0) > SILENT_AFTER_MS) {
      const since = new Date(link.silentSinceMs).toISOString().slice(11, 19);
      return { level: "critical", text: `Host not answering since ${since} UTC. ${link.message} What is shown is old.` +
        (outcome && outcome.atMs > link.silentSinceMs ? ` ${outcome.text}` : " KILL still works: it leaves a KILL file the host obeys.") };
    }
    if (outcome) return outcome;
    if (link.status === "ended") {
      return { level: "info", text: "The host of this session has ended; this is its last state. " +
        'A new one starts with: await lab.start("paper")' };
    }
    if (!viaServer()) {
      const why = link.status === "unknown" ? link.message : "The Jupyter server extension is not here.";
      return { level: "warning", text: `${why} The buttons go through the kernel and wait for running cells; ` +
        `in a terminal: autotrader-lab kill ${session}` };
    }
    if (snapshot.failure) return { level: "critical", text: snapshot.failure };
    if (snapshot.trading_state === "HALTED") {
      const why = snapshot.halted ? ` (${snapshot.halted})` : "";
      return { level: "halted", text: `Trading is halted${why}. Nothing is sent until a person re-arms it: await lab.rearm()` };
    }
    if (viaServer() && beat.value !== null && Date.now() - beat.seenMs > 10000) {
      return { level: "critical", text: "The host answers, but its heart has not beaten for 10 s." };
    }
    return null;
  }

  function update() {
    const snapshot = current();
    const data = hasData(snapshot) ? snapshot : {};
    shown = data;
    if (data.trading_state === "HALTED") haltSeen = true;
    else if (haltSeen) {
      haltSeen = false;
      if (outcome && outcome.level === "halted") outcome = null; // re-armed: the kill is history
    }
    if (data.heartbeat_ns !== beat.value) beat = { value: data.heartbeat_ns ?? null, seenMs: Date.now() };
    const stage = data.stage || "";
    root.dataset.stage = stage;
    root.dataset.link = link.status;
    root.dataset.rehearsal = String(/rehearsal/i.test(data.label || data.profile || ""));
    setText(label, data.label || (stage ? stage.toUpperCase() : "no stage"));
    setText(subtitle, [data.strategy, (data.symbols || []).join(", ")].filter(Boolean).join(" · "));
    setText(state, data.state || link.status);
    state.dataset.state = data.state || "";
    setText(trading, data.trading_state || "");
    trading.dataset.trading = data.trading_state || "";
    trading.hidden = !data.trading_state || data.trading_state === "ACTIVE";
    setText(lease, data.lease ? `lease ${data.lease}` : "");
    lease.hidden = !data.lease;
    const target = stage || "paper";
    setText(start, `Start ${target}`);
    start.disabled = busy || !STARTABLE.has(data.state) || link.status === "silent" || link.status === "ended";
    stop.disabled = busy || !STOPPABLE.has(data.state) || link.status === "silent" || link.status === "ended";

    const message = noticeNow(data);
    notice.hidden = message === null;
    whenChanged(notice, message, () => {
      notice.dataset.level = message ? message.level : "";
      setText(notice, message ? message.text : "");
    });
    progress.hidden = !data.progress;
    if (data.progress) {
      const share = data.progress.total ? data.progress.done / data.progress.total : 0;
      progressFill.style.width = `${100 * share}%`;
      progress.setAttribute("aria-valuenow", String(Math.round(100 * share)));
    }
    ladder.update(data.ladder);
    equity.update(data.equity);
    counters.update(data.counters, data.latency, data.rates);
    attention.update(data.attention, link.status !== "silent" && link.status !== "ended" && data.state !== "failed");
    drawCoverage(covered, data.coverage);
    positions.update(data.positions);
    orders.update(data.orders);
    alerts.update(data.alerts);
    setText(route, viaServer() ? "Kill: Alt+Shift+K twice · independent of the kernel" : "Shown through the kernel");
    setText(facts, [data.fingerprint ? `strategy ${String(data.fingerprint).slice(0, 10)}` : "",
      data.pid ? `host ${data.pid}` : "", data.version ? `v${data.version}` : ""].filter(Boolean).join(" · "));
  }

  function disarm() {
    clearTimeout(disarmTimer);
    if (armedAtMs === null) return;
    const hadFocus = killBox.contains(document.activeElement);
    armedAtMs = null;
    killBox.replaceChildren(kill);
    if (hadFocus) kill.focus();
  }

  function arm() {
    armedAtMs = Date.now();
    killBox.replaceChildren(confirm, flatten, back);
    confirm.focus({ preventScroll: true });
    clearTimeout(disarmTimer);
    disarmTimer = setTimeout(disarm, KILL_ARMED_MS);
  }

  async function act(action, body, say) {
    busy = true;
    update();
    const way = viaServer() ? link : kernel;
    const answer = await way.act(action, body);
    busy = false;
    outcome = answer.ok ? say(answer.body || {}) : { level: "critical", text: `${action} failed: ${answer.message}` };
    if (outcome) outcome.atMs = Date.now();
    update();
    return answer.ok;
  }

  async function fire(alsoFlatten) {
    if (armedAtMs === null || Date.now() - armedAtMs < KILL_GUARD_MS) return;
    disarm();
    setText(kill, "Killing…");
    const reason = "kill button of the notebook panel";
    const ok = await act("kill", { reason, flatten: alsoFlatten }, (body) => killText(body, session));
    setText(kill, "KILL");
    if (!ok) outcome.text += ` In a terminal: autotrader-lab kill ${session}`;
    update();
  }

  kill.addEventListener("click", arm);
  confirm.addEventListener("click", () => fire(false));
  flatten.addEventListener("click", () => fire(true));
  back.addEventListener("click", disarm);
  start.addEventListener("click", () => {
    outcome = null;
    act("start", { stage: (shown && shown.stage) || "paper" }, () => null);
  });
  stop.addEventListener("click", () => act("stop", { flatten: false }, () => null));

  // On the window and in the capture phase: Lab's dialogues and editors swallow keys otherwise.
  function onKey(event) {
    if (!root.isConnected) return;
    if (event.key === "Escape" && armedAtMs !== null) {
      disarm();
      event.stopPropagation();
    } else if (event.altKey && event.shiftKey && event.code === "KeyK") {
      event.preventDefault();
      event.stopPropagation();
      if (armedAtMs === null) arm();
      else fire(false);
    }
  }
  window.addEventListener("keydown", onKey, true);
  model.on("change:snapshot", update);
  let told = null;
  const leave = link.subscribe(() => {
    const served = link.status === "live";
    if (served !== told) {
      told = served;
      try {
        model.set("served", served); // the kernel need not push what the server already shows
        model.save_changes();
      } catch (error) {
        told = null; // the kernel is gone; the panel goes on without it
      }
    }
    update();
  });
  const ticker = setInterval(update, 1000);
  return () => {
    clearInterval(ticker);
    clearTimeout(disarmTimer);
    window.removeEventListener("keydown", onKey, true);
    model.off("change:snapshot", update);
    leave();
  };
}

export default { render: ({ model, el }) => renderPanel(model, el) };
