// The page of `facecycle serve`: each form is sent to the address of its verb.
"use strict";
const forms = [...document.querySelectorAll("form[data-verb]")];
const tabs = [...document.querySelectorAll(".tabs button")];

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// -- which form is shown

function select(verb) {
  for (const tab of tabs) {
    tab.setAttribute("aria-selected", String(tab.dataset.verb === verb));
    tab.tabIndex = tab.dataset.verb === verb ? 0 : -1;
  }
  for (const form of forms) form.hidden = form.dataset.verb !== verb;
}
tabs.forEach((tab, i) => {
  tab.addEventListener("click", () => select(tab.dataset.verb));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(i + step + tabs.length) % tabs.length];
    select(next.dataset.verb);
    next.focus();
  });
});
select(tabs[0].dataset.verb);

// -- files

const addresses = new WeakMap(); // of the preview of each file

function preview(drop) {
  const input = drop.querySelector("input");
  drop.querySelector("img, video")?.remove();
  const file = input.files[0];
  drop.querySelector("small").textContent = file ? file.name : "drop it here, or choose";
  if (!file) return;
  URL.revokeObjectURL(addresses.get(input));
  addresses.set(input, URL.createObjectURL(file));
  const isVideo = file.type.startsWith("video/");
  const shown = element(isVideo ? "video" : "img", { src: addresses.get(input), muted: true });
  shown.alt = "preview of " + file.name;
  shown.addEventListener("error", () => shown.remove()); // not every kind of file can be shown
  drop.append(shown);
}

for (const drop of document.querySelectorAll(".drop")) {
  const input = drop.querySelector("input");
  input.addEventListener("change", () => preview(drop));
  for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragenter" || name === "dragover");
      if (name !== "drop" || !event.dataTransfer.files.length) return;
      input.files = event.dataTransfer.files;
      preview(drop);
    });
  }
}

// -- results

function figure(media, caption) {
  return element("figure", {}, media, element("figcaption", { textContent: caption }));
}

async function pair(before, after) {
  const left = element("img", { src: before, alt: "the photograph" });
  const right = element("img", { src: after, alt: "the result" });
  await right.decode();
  const known = await left.decode().then(() => true, () => false);
  const same = known && left.naturalWidth === right.naturalWidth;
  if (!same || left.naturalHeight !== right.naturalHeight) {
    const figures = [figure(right, "result")];
    if (known) figures.unshift(figure(left, "photograph"));
    return element("div", { className: "beside" }, ...figures);
  }
  left.className = "before";
  const slider = element("input", { type: "range", min: 0, max: 100, value: 50 });
  slider.setAttribute("aria-label", "How much of the photograph is shown");
  const labels = [["left", "before"], ["right", "after"]].map(([side, text]) =>
    element("span", { className: side, textContent: text, ariaHidden: "true" }));
  const compare = element("div", { className: "compare" }, right, left, ...labels, slider);
  connectSlider(compare);
  return compare;
}

function shortened(key, value) {
  const isLong = Array.isArray(value) && value.length > 16;
  return isLong ? `${value.length} numbers: ${value.slice(0, 4).map((v) => JSON.stringify(v)).join(", ")}, …` : value;
}

function facts(fields) {
  const text = element("pre", { textContent: JSON.stringify(fields, shortened, 2), tabIndex: 0 });
  if (!fields.verdict) return [text];
  const words = `Verdict: ${fields.verdict} (similarity ${fields.similarity.toFixed(3)}, ` +
    `threshold ${fields.threshold.toFixed(3)})`;
  const note = element("p", { className: "quiet", textContent: fields.note + "." });
  return [element("p", { className: "verdict", textContent: words }), note, text];
}

async function show(form, response) {
  const kind = response.headers.get("Content-Type").split(";")[0];
  if (kind === "application/json") return facts(await response.json());
  const address = URL.createObjectURL(await response.blob());
  const name = `${form.dataset.verb}.${kind === "video/mp4" ? "mp4" : "png"}`;
  const link = element("a", { href: address, download: name, textContent: "Save " + name });
  const last = [...form.querySelectorAll(".drop input")].pop();
  const media = kind === "video/mp4"
    ? element("video", { src: address, controls: true, loop: true, muted: true, autoplay: true, playsInline: true })
    : await pair(addresses.get(last), address);
  return [media, element("p", {}, link)];
}

for (const form of forms) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const data = new FormData(form);
    for (const dial of form.querySelectorAll(".dials [name]")) {
      const isFlag = dial.type === "checkbox";
      const value = isFlag ? String(dial.checked) : dial.value;
      if (value === dial.dataset.default) data.delete(dial.name);
      else data.set(dial.name, value);
    }
    const [button, status, result] = [".go", ".status", ".result"].map((s) => form.querySelector(s));
    const started = performance.now();
    button.disabled = true;
    status.className = "status";
    status.textContent = "at work …";
    result.replaceChildren();
    try {
      const response = await fetch("/" + form.dataset.verb, { method: "POST", body: data });
      if (response.ok) result.append(...await show(form, response));
      else throw new Error((await response.json()).error);
      status.textContent = `done in ${((performance.now() - started) / 1000).toFixed(1)} s`;
    } catch (error) {
      status.className = "status wrong";
      status.textContent = error.message;
    } finally {
      button.disabled = false;
    }
  });
}
