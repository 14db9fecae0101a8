// "Something changed" arrives at most four times a second; the page then fetches what it shows. A hidden page asks nothing.
import { liveIds, refresh } from "./fragments.js";

const AGAIN_MS = 250;

export function keepLive() {
  const button = document.getElementById("live");
  const url = document.body.dataset.stream;
  if (!button || !url) return;
  let source = null;
  let busy = false;
  let stale = false;

  const paused = () => button.getAttribute("aria-pressed") === "true";
  const show = (state, words) => {
    button.dataset.state = state;
    button.querySelector("[data-words]").textContent = words;
  };

  async function update() {
    if (busy) return void (stale = true);
    busy = true;
    stale = false;
    try {
      const ids = liveIds();
      if (ids.length) await refresh(location.href, ids);
    } catch {
      show("away", "No answer");
    }
    setTimeout(() => {
      busy = false;
      if (stale && !paused() && !document.hidden) update();
    }, AGAIN_MS);
  }

  function connect() {
    if (source || paused() || document.hidden) return;
    source = new EventSource(url);
    source.addEventListener("open", () => show("on", "Live"));
    source.addEventListener("error", () => show("away", "Connecting"));
    source.addEventListener("changed", update);
  }

  function disconnect() {
    source?.close();
    source = null;
  }

  button.addEventListener("click", () => {
    const wasPaused = paused();
    button.setAttribute("aria-pressed", String(!wasPaused));
    sessionStorage.setItem("onstage.paused", wasPaused ? "" : "1");
    if (wasPaused) {
      connect();
      update();
    } else {
      disconnect();
      show("paused", "Paused");
    }
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return disconnect();
    connect();
    if (!paused()) update();
  });
  addEventListener("pagehide", disconnect);
  if (sessionStorage.getItem("onstage.paused")) {
    button.setAttribute("aria-pressed", "true");
    show("paused", "Paused");
  }
  connect();
}
