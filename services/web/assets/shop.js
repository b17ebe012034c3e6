// Spares a click here and there; every page works without it.
"use strict";
document.documentElement.classList.add("js");

// A parcel that moves by itself: the server sends the part of the page that has changed.
const tracker = document.querySelector("[data-tracker]:not([data-final])");
if (tracker && "EventSource" in window) {
  const events = new EventSource(tracker.dataset.tracker);
  events.addEventListener("moved", (event) => {
    tracker.innerHTML = event.data;
    const moved = tracker.querySelectorAll(".way .done").length > 1;
    if (moved) document.querySelector("[data-cancel]")?.remove();
  });
  addEventListener("pagehide", () => events.close());
}

// Filters apply as they are chosen.
document.querySelector("[data-filters]")?.addEventListener("change", (event) => event.currentTarget.requestSubmit());

// A changed quantity is sent when its field is left.
for (const form of document.querySelectorAll("[data-quantity]")) {
  form.querySelector("input[type=number]")?.addEventListener("change", (event) => {
    if (event.target.reportValidity()) form.requestSubmit(form.querySelector("[value=update]"));
  });
}

// Another country has other prices; another speed is another of the sums that are there already.
document.querySelector("[data-update]")?.addEventListener("change", (event) => {
  const form = event.target.form;
  form.requestSubmit(form.querySelector("[value=update]"));
});
for (const speed of document.querySelectorAll("[data-speed]")) {
  speed.addEventListener("change", () => {
    for (const cost of document.querySelectorAll("[data-cost]")) {
      cost.classList.toggle("chosen", cost.dataset.cost === speed.value);
    }
  });
}

// An order whose outcome isn't known yet is asked for again, with the same key.
const again = document.querySelector("[data-again]");
if (again) setTimeout(() => again.requestSubmit(), Number(again.dataset.again));
