"use strict";
document.querySelectorAll(".viewer").forEach(function (root) {
  const data = JSON.parse(root.querySelector(".data").textContent);
  const of = (name) => root.querySelector('[data-of="' + name + '"]');
  const stage = root.querySelector(".stage"), pair = root.querySelector(".pair");
  const images = { a: root.querySelector(".layer.a img"), b: root.querySelector(".layer.b img") };
  const layerB = root.querySelector(".layer.b"), divider = root.querySelector(".divider");
  const state = { scene: 0, a: 0, b: 0, split: 0.5, show: "split", difference: false, zoom: 1, x: 0, y: 0, fitted: true };
  const scene = () => data.scenes[state.scene];

  function fill(select, names) {
    select.replaceChildren(...names.map((name, i) => new Option(name, i)));
  }
  function clamp(value, low, high) { return Math.min(high, Math.max(low, value)); }
  function size() { return { w: images.a.naturalWidth || 1, h: images.a.naturalHeight || 1 }; }

  function fit() {
    const { w, h } = size();
    state.zoom = Math.min(stage.clientWidth / w, stage.clientHeight / h);
    state.x = (stage.clientWidth - w * state.zoom) / 2;
    state.y = (stage.clientHeight - h * state.zoom) / 2;
    state.fitted = true;
    draw();
  }
  function zoomTo(zoom) {
    const cx = stage.clientWidth / 2, cy = stage.clientHeight / 2, ratio = clamp(zoom, 0.02, 32) / state.zoom;
    state.x = cx - (cx - state.x) * ratio;
    state.y = cy - (cy - state.y) * ratio;
    state.zoom *= ratio;
    state.fitted = false;
    draw();
  }
  function pan(dx, dy) { state.x += dx; state.y += dy; state.fitted = false; draw(); }

  function draw() {
    const move = "translate(" + state.x + "px," + state.y + "px) scale(" + state.zoom + ")";
    images.a.style.transform = images.b.style.transform = move;
    pair.classList.toggle("sharp", state.zoom * devicePixelRatio >= 1.99);
    pair.classList.toggle("difference", state.difference);
    const cut = state.difference || state.show === "b" ? 0 : state.show === "a" ? 100 : state.split * 100;
    layerB.style.clipPath = "inset(0 0 0 " + cut + "%)";
    divider.style.left = state.split * 100 + "%";
    divider.hidden = state.difference || state.show !== "split";
    root.querySelector(".tag.a").hidden = !state.difference && state.show === "b";
    root.querySelector(".tag.b").hidden = !state.difference && state.show === "a";
    of("split").value = Math.round(state.split * 1000);
    of("zoom").textContent = Math.round(state.zoom * devicePixelRatio * 100) + " %";
    root.querySelector('[data-do="difference"]').setAttribute("aria-pressed", String(state.difference));
  }
  function load() {
    for (const side of ["a", "b"]) {
      const frame = scene().frames[state[side]];
      images[side].src = data.images[frame.image];
      of(side).value = state[side];
      of("note-" + side).textContent = frame.name + ": " + frame.note;
      root.querySelector(".tag." + side).textContent = frame.name;
    }
    of("slider").value = Math.max(1, state.b);
    draw();
  }
  function choose(number) {
    state.scene = number;
    const names = scene().frames.map((frame) => frame.name);
    fill(of("a"), names);
    fill(of("b"), names);
    state.a = scene().a;
    state.b = scene().b;
    of("slider").max = names.length - 1;
    load();
  }
  function right(number) { state.b = clamp(number, 0, scene().frames.length - 1); load(); }
  const actions = {
    difference() { state.difference = !state.difference; draw(); },
    flicker() { state.difference = false; state.show = state.show === "a" ? "b" : "a"; draw(); },
    larger() { zoomTo(state.zoom * 1.5); },
    smaller() { zoomTo(state.zoom / 1.5); },
    one() { zoomTo(1 / devicePixelRatio); },
    fit: fit,
    back() { state.show = "split"; state.difference = false; draw(); },
  };
  const keys = { f: "flicker", d: "difference", "+": "larger", "=": "larger", "-": "smaller", 1: "one", 0: "fit", Escape: "back" };
  const arrows = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };

  fill(of("scene"), data.scenes.map((one) => one.name));
  root.querySelector(".of-scene").hidden = data.scenes.length < 2;
  root.querySelector(".of-slider").hidden = !data.slider;
  of("slider-name").textContent = data.slider;
  of("scene").addEventListener("change", (event) => choose(Number(event.target.value)));
  of("a").addEventListener("change", (event) => { state.a = Number(event.target.value); load(); });
  of("b").addEventListener("change", (event) => right(Number(event.target.value)));
  of("slider").addEventListener("input", (event) => right(Number(event.target.value)));
  of("split").addEventListener("input", (event) => {
    state.split = event.target.value / 1000; state.show = "split"; state.difference = false; draw();
  });
  root.querySelectorAll("[data-do]").forEach((button) =>
    button.addEventListener("click", () => actions[button.dataset.do]()));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (keys[key]) actions[keys[key]]();
    else if (key === "]") right(state.b + 1);
    else if (key === "[") right(state.b - 1);
    else if (arrows[key] && event.target === stage) pan(...arrows[key]);
    else return;
    event.preventDefault();
  });
  let dragging = null;
  stage.addEventListener("pointerdown", (event) => {
    dragging = event.target === divider ? "divider" : "picture";
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    if (dragging === "divider") {
      const box = stage.getBoundingClientRect();
      state.split = clamp((event.clientX - box.left) / box.width, 0, 1);
      draw();
    } else if (dragging) pan(event.movementX, event.movementY);
  });
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => { dragging = null; });
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoomTo(state.zoom * (event.deltaY < 0 ? 1.2 : 1 / 1.2));
  }, { passive: false });
  images.a.addEventListener("load", () => { if (state.fitted) fit(); });
  addEventListener("resize", () => { if (state.fitted) fit(); });
  choose(0);
});

document.querySelectorAll("table.sortable").forEach(function (table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach(function (cell, column) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", function () {
      const down = cell.getAttribute("aria-sort") === "ascending";
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const order = (p, q) => (p === "" || q === "" || isNaN(p) || isNaN(q) ? p.localeCompare(q) : p - q);
      const rows = [...table.tBodies[0].rows].sort((p, q) => order(value(p), value(q)));
      table.tBodies[0].append(...(down ? rows.reverse() : rows));
    });
  });
});
