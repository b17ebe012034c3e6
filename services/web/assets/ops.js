// The parts of the page that change, as the server sends them; without this the page loads itself again now and then.
"use strict";
document.documentElement.classList.add("js");

const watched = document.querySelector("[data-events]");
if (watched && "EventSource" in window) {
  const live = document.getElementById("live");
  const say = (isLive) => {
    live.hidden = false;
    live.textContent = isLive ? "live" : "not live: trying again";
    live.classList.toggle("stale", !isLive);
  };
  const events = new EventSource(watched.dataset.events);
  events.addEventListener("open", () => say(true));
  events.addEventListener("error", () => {
    say(false);
    // Refused for good: signed out, mostly. The page itself says what to do.
    if (events.readyState === EventSource.CLOSED) live.textContent = "not live: load the page again";
  });
  for (const part of watched.querySelectorAll("[data-part]")) {
    events.addEventListener(part.dataset.part, (event) => {
      // Who is about to use something in it isn't disturbed: the next change brings it.
      if (part.dataset.part === "faults" && part.contains(document.activeElement)) document.activeElement.blur();
      const open = [...part.querySelectorAll("details[open][data-keep]")].map((each) => each.dataset.keep);
      part.innerHTML = event.data;
      for (const each of part.querySelectorAll("details[data-keep]")) each.open = open.includes(each.dataset.keep);
    });
  }
  addEventListener("pagehide", () => events.close());
}
