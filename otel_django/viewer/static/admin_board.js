// Keeps the dashboard in the admin as it is now: its JSON is asked for, the page only where that changed.
(function () {
  "use strict";
  const EVERY_S = 5, MOST_WAIT_S = 30;
  const board = document.getElementById("otel-board"), offline = document.getElementById("otel-offline");
  if (!board) return;
  let tag = "", last = Date.now(), next = Date.now() + 1000 * EVERY_S, failures = 0, asking = false, why = "";

  async function got(address, headers) {
    const answer = await fetch(address, { headers: headers, cache: "no-store", redirect: "error", signal: AbortSignal.timeout(15000) });
    if (answer.ok || answer.status === 304) return answer;
    const told = { 403: "You may no longer look at this: log in, and load the page again.", 429: "The site was asked too often." };
    throw Object.assign(new Error(told[answer.status] || "The site answers that something is wrong (" + answer.status + ")."), { told: true, wait: Number(answer.headers.get("Retry-After")) });
  }

  async function ask() {
    const state = await got(board.dataset.state, tag ? { "If-None-Match": tag } : {});
    if (state.status !== 304) {
      const page = new DOMParser().parseFromString(await (await got(location.href, {})).text(), "text/html");
      const found = page.getElementById("otel-board");
      if (!found) throw Object.assign(new Error("You may no longer look at this: log in, and load the page again."), { told: true });
      board.replaceChildren(...found.childNodes);
      tag = state.headers.get("ETag") || "";
    }
  }

  function tell() {
    offline.hidden = !failures;
    if (!failures) return;
    const old = Math.max(1, Math.round((Date.now() - last) / 1000)), left = Math.max(0, Math.ceil((next - Date.now()) / 1000));
    offline.textContent = why + " What is shown is " + (old < 90 ? old + " s" : Math.round(old / 60) + " min") + " old. " + (left ? "Asking again in " + left + " s." : "Asking again …");
  }

  setInterval(async () => {
    tell();
    if (asking || Date.now() < next || document.hidden) return;
    asking = true;
    try {
      await ask();
      failures = 0;
      last = Date.now();
      next = last + 1000 * EVERY_S;
    } catch (error) {
      failures += 1;
      why = error.told ? error.message : "The site doesn't answer.";
      next = Date.now() + 1000 * (error.wait || Math.min(MOST_WAIT_S, 2 ** failures));
    }
    asking = false;
    tell();
  }, 1000);
})();
