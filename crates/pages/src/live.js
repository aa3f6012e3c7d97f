// Follows a run: puts each part of the page in its place as it comes, and at the end the report in place of them all.
"use strict";
const main = document.getElementById("report");
const connection = document.getElementById("connection");
if (main && main.dataset.events) {
  const events = new EventSource(main.dataset.events);
  events.onopen = () => { connection.textContent = ""; };
  events.onerror = () => { connection.textContent = "No connection to the run: it has ended, or it is out of reach."; };
  events.addEventListener("part", (event) => {
    const { id, html } = JSON.parse(event.data);
    const place = document.getElementById(id);
    if (place) place.innerHTML = html;
  });
  events.addEventListener("report", (event) => {
    events.close();
    const { style, html } = JSON.parse(event.data);
    const rules = document.createElement("style");
    rules.textContent = style;
    document.head.append(rules);
    main.outerHTML = html;
  });
  events.addEventListener("gone", (event) => {
    events.close();
    connection.textContent = event.data;
  });
}
