// The way to the engine host. It does not pass through the kernel: a cell that blocks the kernel, or the kernel's death,
// must not blind the panel or disarm its kill button. The Jupyter server's own extension adds the host's token, so none
// is known here. Where that extension is missing (VS Code, a static page) the panel falls back to what the kernel pushes.

const POLL_MS = 300;
const POLL_HIDDEN_MS = 1500;
const POLL_SILENT_MS = 1000;
const POLL_ABSENT_MS = 15000;
const STATUS_TIMEOUT_MS = 4000;
const ACTION_TIMEOUT_MS = 30000;
const SETTLE_TIMEOUT_MS = 65000; // the host may wait for the venue before it decides

function jupyterConfig() {
  const holder = document.getElementById("jupyter-config-data");
  if (holder) {
    try {
      const config = JSON.parse(holder.textContent);
      return { baseUrl: config.baseUrl || "/", token: config.token || "" };
    } catch (error) {
      console.warn("autotrader-lab: jupyter-config-data is not JSON", error);
    }
  }
  const baseUrl = document.body && document.body.dataset.baseUrl;
  return baseUrl ? { baseUrl, token: "" } : null;
}

function cookie(name) {
  for (const part of document.cookie.split("; ")) {
    if (part.startsWith(name + "=")) return decodeURIComponent(part.slice(name.length + 1));
  }
  return "";
}

class Link {
  static all = new Map();

  // One poller a session and page, however many views show it.
  static to(session) {
    if (!Link.all.has(session)) Link.all.set(session, new Link(session));
    return Link.all.get(session);
  }

  constructor(session) {
    this.session = session;
    this.config = jupyterConfig();
    this.status = this.config ? "connecting" : "absent";
    this.snapshot = null;
    this.message = "";
    this.silentSinceMs = null;
    this.answeredAtMs = null;
    this.listeners = new Set();
    this.timer = null;
  }

  subscribe(listener) {
    this.listeners.add(listener);
    if (this.listeners.size === 1 && this.config) this.poll();
    listener();
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size > 0) return;
      clearTimeout(this.timer);
      Link.all.delete(this.session);
    };
  }

  async request(action, options, timeoutMs) {
    const base = this.config.baseUrl.endsWith("/") ? this.config.baseUrl : this.config.baseUrl + "/";
    const headers = { Accept: "application/json" };
    if (this.config.token) headers.Authorization = "token " + this.config.token;
    if (options.method === "POST") {
      headers["Content-Type"] = "application/json";
      headers["X-XSRFToken"] = cookie("_xsrf");
    }
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), timeoutMs);
    try {
      const response = await fetch(`${base}autotrader-lab/${encodeURIComponent(this.session)}/${action}`, {
        ...options, headers, credentials: "same-origin", cache: "no-store", signal: abort.signal,
      });
      const text = await response.text();
      let body = null;
      try {
        body = JSON.parse(text);
      } catch {
        body = null; // not ours: some proxy's or Jupyter's own page
      }
      return { status: response.status, body };
    } finally {
      clearTimeout(timer);
    }
  }

  async poll() {
    let waitMs = document.hidden ? POLL_HIDDEN_MS : POLL_MS;
    try {
      const { status, body } = await this.request("status", { method: "GET" }, STATUS_TIMEOUT_MS);
      if (status === 401 || status === 403) {
        this.silent("Jupyter has logged this page out. Reload it.");
      } else if (!body || typeof body.host !== "string") {
        this.status = "absent";
        waitMs = POLL_ABSENT_MS;
      } else if (body.host === "answering") {
        this.status = "live";
        this.snapshot = body.snapshot;
        this.message = "";
        this.silentSinceMs = null;
        this.answeredAtMs = Date.now();
      } else if (body.host === "unknown") {
        this.status = "unknown";
        this.message = body.message || "";
        waitMs = POLL_SILENT_MS;
      } else {
        this.silent(body.message);
        if (body.host === "ended") this.status = "ended"; // in order: its stage was stopped before it left
        this.snapshot = body.snapshot ?? this.snapshot;
        waitMs = POLL_SILENT_MS;
      }
    } catch (error) {
      this.silent("The Jupyter server does not answer.");
      waitMs = POLL_SILENT_MS;
    }
    for (const listener of this.listeners) listener();
    if (this.listeners.size > 0) this.timer = setTimeout(() => this.poll(), waitMs);
  }

  silent(message) {
    this.status = "silent";
    this.message = message || "";
    if (this.silentSinceMs === null) this.silentSinceMs = this.answeredAtMs ?? Date.now();
  }

  // Resolves to {ok, body, message}; never rejects, because a kill that failed must say so on the panel.
  async act(action, body, timeoutMs = ACTION_TIMEOUT_MS) {
    try {
      const answer = await this.request(action, { method: "POST", body: JSON.stringify(body) }, timeoutMs);
      const ok = answer.status >= 200 && answer.status < 300 && answer.body !== null;
      const error = answer.body && answer.body.error;
      const message = error ? error.message : (answer.body && answer.body.message) || `HTTP ${answer.status}`;
      return { ok, body: answer.body, message: ok ? "" : message };
    } catch (error) {
      const late = error && error.name === "AbortError";
      const message = late ? `No answer in ${timeoutMs / 1000} s; it may still be carried out.` : "The Jupyter server does not answer.";
      return { ok: false, body: null, message };
    }
  }
}
