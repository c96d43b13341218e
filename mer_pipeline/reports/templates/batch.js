"use strict";
const form = document.getElementById("filters");
const body = document.querySelector("table.batch tbody");
const rows = Array.from(body.rows);
const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

function filter() {
  const wanted = new FormData(form);
  const text = wanted.get("text").trim().toLowerCase();
  const least = Number(wanted.get("least"));
  let shown = 0;
  for (const row of rows) {
    const fits = (!text || texts.get(row).includes(text))
      && ["what", "emotion", "verdict"].every((name) => !wanted.get(name) || row.dataset[name] === wanted.get(name))
      && (!wanted.get("au") || row.dataset.aus.includes(` ${wanted.get("au")} `))
      && (!least || Number(row.dataset.probability) >= least);
    row.hidden = !fits;
    shown += fits;
  }
  form.querySelector("output").value = `${shown} of ${rows.length} rows`;
  document.getElementById("nothing").hidden = shown > 0;
}

function sort(header) {
  const name = header.dataset.sort;
  const down = header.getAttribute("aria-sort") === "ascending";
  for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => name === "probability" ? Number(row.dataset[name] || -1) : row.dataset[name];
  const order = (a, b) => {
    const [one, other] = [key(a), key(b)];
    return typeof one === "number" ? one - other : one.localeCompare(other, undefined, { numeric: true });
  };
  rows.sort((a, b) => down ? order(b, a) : order(a, b));
  body.append(...rows);
}

form.addEventListener("input", filter);
form.addEventListener("reset", () => setTimeout(filter));
form.addEventListener("submit", (event) => event.preventDefault());
for (const header of document.querySelectorAll("th[data-sort]")) header.firstElementChild.addEventListener("click", () => sort(header));
filter();
