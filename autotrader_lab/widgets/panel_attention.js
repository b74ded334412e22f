// Orders that need a person: in doubt, or never delivered. One row an order, kept while snapshots come and go, so that
// neither a half-typed id nor a button about to be confirmed is lost under the reader's hands.

const CONFIRM_MS = 6000;
const CONFIRM_GUARD_MS = 250; // a nervous double click must not confirm what it has just armed
const SETTLED_SHOWN_MS = 20000;
const ATTENTION_WORDS = { unknown: "UNKNOWN", dead_letter: "DEAD LETTER" };

function shortAge(milliseconds) {
  const seconds = Math.max(Math.round(milliseconds / 1000), 0);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

// What the host answered to a button, for a person; `good` is whether that ended the question.
function settledText(action, order) {
  const status = String(order.status || "").replace("_", " ");
  const why = order.reason ? `: ${order.reason}` : "";
  const filled = `${quantity(order.filled)} of ${quantity(order.quantity)} filled`;
  const theirs = order.order_id ? `, its id there is ${order.order_id}` : "";
  if (order.status === "unknown") return { good: false, text: `Still in doubt${why}.` };
  if (action === "discard") return { good: true, text: "Given up: the venue has none, and it will not be sent." };
  if (order.status === "denied") return { good: false, text: `Not sent, the risk gate denies it${why}.` };
  if (order.status === "rejected") {
    return { good: false, text: action === "resubmit" ? `Sent again, and refused${why}.` : `The venue refused it${why}.` };
  }
  const begins = action === "resubmit" ? "Sent again" : "The venue has it";
  return { good: true, text: `${begins}: ${status}, ${filled}${theirs}.` };
}

// `settle(arguments)` resolves to {ok, body, message} and never rejects.
function attentionPart(settle) {
  const list = node("ul", "atl-attention-rows");
  const count = node("span", "atl-soft");
  const silence = node("p", "atl-soft atl-attention-silence",
    "No host answers, so nothing can be decided here. Start one that continues with: await lab.recover()");
  const element = node("section", "atl-card atl-attention",
    node("div", "atl-card-title", "Attention ", count), silence, list);
  element.setAttribute("aria-label", "Orders that need a person");
  element.hidden = true;
  const rows = new Map();
  let answering = true;

  function rowOf(order) {
    if (rows.has(order.client_order_id)) return rows.get(order.client_order_id);
    const id = order.client_order_id;
    const badge = node("span", "atl-badge");
    const words = node("span", "atl-attention-words");
    const since = node("span", "atl-soft");
    const reason = node("div", "atl-soft atl-wrap");
    const answer = node("div", "atl-attention-answer atl-wrap");
    answer.setAttribute("role", "status");
    const field = node("input", "atl-input");
    field.type = "text";
    field.placeholder = "the order's id at the venue";
    field.setAttribute("aria-label", `The id of order ${id} at the venue`);
    const adoptNow = button("", "Adopt it", "Tie our order to the venue's order of this id");
    const adoptBack = button("", "Back", "Do not adopt (Esc)");
    const adopting = node("form", "atl-adopting", field, adoptNow, adoptBack);
    adopting.hidden = true;
    adoptNow.type = "submit";
    const buttons = {
      query: button("", "Query", "Ask the venue again"),
      adopt: button("", "Adopt…", "Tie it to an order the venue has"),
      resubmit: button("", "Resubmit", "Send it again, if the venue says that it has none"),
      discard: button("", "Discard", "Give it up, if the venue says that it has none"),
    };
    const bar = node("div", "atl-attention-buttons", ...Object.values(buttons));
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", `Decide about order ${id}`);
    const item = node("li", "", node("div", "", node("div", "atl-attention-line", badge, words, since), reason), bar, adopting, answer);
    item.dataset.order = id;
    list.append(item);
    let armed = null;

    function disarm() {
      if (!armed) return;
      clearTimeout(armed.timer);
      buttons[armed.action].classList.remove("atl-confirm");
      setText(buttons[armed.action], armed.text);
      armed = null;
    }

    function confirmed(action) {
      if (armed && armed.action === action) {
        if (Date.now() - armed.atMs < CONFIRM_GUARD_MS) return false;
        disarm();
        return true;
      }
      disarm();
      armed = { action, atMs: Date.now(), text: buttons[action].textContent, timer: setTimeout(disarm, CONFIRM_MS) };
      buttons[action].classList.add("atl-confirm");
      setText(buttons[action], `Confirm ${action}`);
      return false;
    }

    async function press(action, more = {}) {
      disarm();
      row.busy = true;
      answer.dataset.good = "";
      setText(answer, action === "query" ? "Asking the venue…" : "Working on it…");
      draw();
      const { ok, body, message } = await settle({ action, order: id, ...more });
      row.busy = false;
      const told = ok ? settledText(action, body || {}) : { good: false, text: `Refused: ${message}` };
      answer.dataset.good = String(told.good);
      setText(answer, told.text);
      if (ok && told.good) openAdopting(false);
      draw();
    }

    function openAdopting(open) {
      adopting.hidden = !open;
      if (open) field.focus({ preventScroll: true });
    }

    function draw() {
      for (const each of [...Object.values(buttons), adoptNow]) each.disabled = row.busy || row.gone || !answering;
      item.classList.toggle("atl-settled", row.gone);
      bar.hidden = row.gone;
      if (row.gone) openAdopting(false);
    }

    buttons.query.addEventListener("click", () => press("query"));
    buttons.adopt.addEventListener("click", () => {
      disarm();
      openAdopting(adopting.hidden);
    });
    for (const action of ["resubmit", "discard"]) {
      buttons[action].addEventListener("click", () => { if (confirmed(action)) press(action); });
    }
    adoptBack.addEventListener("click", () => openAdopting(false));
    adopting.addEventListener("submit", (event) => {
      event.preventDefault();
      if (field.value.trim()) press("adopt", { venue_order_id: field.value.trim() });
      else setText(answer, "Adopt needs the order's id at the venue: look at the venue's own screen.");
    });
    // The notebook takes single keys for its own commands.
    item.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") {
        disarm();
        openAdopting(false);
      }
    });

    const row = {
      item, busy: false, gone: false, goneAtMs: 0, draw,
      hasAnswer: () => answer.textContent !== "",
      show(now) {
        badge.dataset.status = now.status;
        setText(badge, ATTENTION_WORDS[now.status] ?? now.status);
        const at = now.price === null || now.price === undefined ? "at market" : `@ ${price(now.price)}`;
        whenChanged(words, [now.symbol, now.side, now.quantity, at], () => {
          words.replaceChildren(node("span", "atl-strong", now.symbol), " ",
            node("span", now.side === "buy" ? "atl-up" : "atl-down", now.side), ` ${quantity(now.quantity)} ${at}`);
        });
        setText(since, now.since_ms ? `since ${clockTime(now.since_ms)} UTC, ${shortAge(Date.now() - now.since_ms)}` : "");
        const tries = now.attempts > 1 ? ` (${now.attempts} attempts)` : "";
        setText(reason, now.reason ? `${now.reason}${tries}` : tries.trim());
        item.title = `ours ${id}`;
      },
    };
    rows.set(id, row);
    return row;
  }

  return {
    element,
    update(orders, hostAnswers) {
      answering = hostAnswers;
      const waiting = orders || [];
      const names = new Set(waiting.map((order) => order.client_order_id));
      for (const order of waiting) {
        const row = rowOf(order);
        row.gone = false;
        row.show(order);
        row.draw();
      }
      for (const [id, row] of rows) {
        if (names.has(id)) continue;
        if (!row.gone) Object.assign(row, { gone: true, goneAtMs: Date.now() });
        row.draw();
        // An answer is read to its end; a row that settled by itself says nothing and leaves at once.
        const over = !row.busy && (!row.hasAnswer() || Date.now() - row.goneAtMs > SETTLED_SHOWN_MS);
        if (over) {
          row.item.remove();
          rows.delete(id);
        }
      }
      setText(count, waiting.length === 1 ? "1 order needs a person" : waiting.length
        ? `${waiting.length} orders need a person` : "settled");
      silence.hidden = answering || waiting.length === 0;
      element.hidden = rows.size === 0;
    },
  };
}
