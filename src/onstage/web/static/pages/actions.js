// What is done from a page: each form names a call of the API and its body; the answer is told, the page follows.
import { liveIds, refresh, tell } from "./fragments.js";

const csrf = () => document.querySelector('meta[name="onstage-csrf"]').content;

/** Call the API; returns its answer, or throws what it said. */
export async function post(url, body) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Onstage-CSRF": csrf() },
    body: JSON.stringify(body),
  });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.error ?? `${answer.status} ${answer.statusText}`);
  return said;
}

export function actByForms() {
  document.addEventListener("submit", async (submission) => {
    const form = submission.target;
    if (!form.dataset.act && !form.dataset.emit) return;
    submission.preventDefault();
    if (form.dataset.sure && !(await isSure(form.dataset.sure, submission.submitter))) return;
    const button = submission.submitter ?? form.querySelector("button");
    button.disabled = true;
    try {
      const url = form.dataset.act ?? form.dataset.emit;
      const said = await post(url, form.dataset.act ? filled(form) : emitted(form));
      report(said);
    } catch (error) {
      tell(error.message, "bad");
    }
    button.disabled = false;
    refresh(location.href, liveIds()).catch(() => {});
  });
  document.addEventListener("click", copyAsTest);
}

function report(said) {
  for (const line of said.done ?? []) tell(line, "good");
  for (const line of said.refused ?? []) tell(line, "bad");
  if (said.process) link(said.process);
}

/** A word on where it went, to follow. */
function link(process) {
  const line = document.createElement("p");
  const to = document.createElement("a");
  to.href = new URL(`processes/${encodeURIComponent(process)}`, document.baseURI.replace(/events\/.*$/, "")).href;
  to.textContent = "See its process";
  line.className = "notice good";
  line.append(to);
  document.getElementById("told").append(line);
}

/** What the form says by itself, and what was written into its fields. */
function filled(form) {
  const body = JSON.parse(form.elements.body.value);
  for (const field of form.querySelectorAll("[data-field]")) {
    if (field.value.trim()) body[field.name] = field.value.trim();
  }
  return body;
}

function emitted(form) {
  const body = { type: form.dataset.type, data: JSON.parse(form.elements.data.value) };
  const process = form.elements.process.value.trim();
  return process ? { ...body, process } : body;
}

function isSure(text, button) {
  const dialog = document.getElementById("ask");
  const yes = document.getElementById("ask-yes");
  document.getElementById("ask-text").textContent = text;
  document.getElementById("ask-title").textContent = `${button.textContent.trim()}?`;
  yes.textContent = button.textContent.trim();
  dialog.returnValue = "";
  dialog.showModal();
  yes.onclick = () => dialog.close("yes");
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

async function copyAsTest(click) {
  const button = click.target.closest("[data-copy]");
  if (!button) return;
  try {
    const answer = await fetch(button.dataset.copy);
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    await navigator.clipboard.writeText(await answer.text());
    tell("The test is in the clipboard", "good");
  } catch (error) {
    tell(`Not copied: ${error.message}`, "bad");
  }
}
