// The form of a test event: a field for each simple property of its schema, or of the payload that it begins with.
// The JSON below is what is sent; both agree.

const SIMPLE = { string: "text", integer: "number", number: "number", boolean: "checkbox" };

export function fillForms() {
  const form = document.getElementById("emit");
  if (!form) return;
  const text = form.elements.data;
  const schema = form.querySelector("template[data-schema]");
  const known = schema ? propertiesOf(JSON.parse(schema.content.textContent)) : likeThose(parsed(text) ?? {});
  const fields = Object.entries(known).map(([name, kind]) => field(name, kind, text));
  form.querySelector("[data-form-fields]").append(...fields.map(({ row }) => row));
  const show = () => {
    const value = parsed(text);
    text.setAttribute("aria-invalid", String(value === null));
    if (value) for (const each of fields) each.show(value);
  };
  text.addEventListener("input", show);
  show();
}

function parsed(text) {
  try {
    return JSON.parse(text.value);
  } catch {
    return null;
  }
}

/** Name and kind of what has a field of its own; the rest is written as JSON. */
function propertiesOf(schema) {
  const of = schema.$ref ? schema.$defs[schema.$ref.split("/").pop()] : schema;
  const found = {};
  for (const [name, property] of Object.entries(of?.properties ?? {})) {
    const types = (property.anyOf ?? [property]).map((each) => each.type).flat();
    const type = types.find((each) => each in SIMPLE);
    if (type) found[name] = { type, needed: (of.required ?? []).includes(name), words: property.description };
  }
  return found;
}

/** The same, found from a payload: without a schema nobody knows what is needed. */
function likeThose(payload) {
  const simple = Object.entries(payload).filter(([, value]) => typeof value in SIMPLE);
  return Object.fromEntries(simple.map(([name, value]) => [name, { type: typeof value, needed: false }]));
}

function field(name, { type, needed, words }, text) {
  const row = document.createElement("div");
  const label = document.createElement("label");
  const input = document.createElement("input");
  row.className = "field";
  input.id = `emit-field-${name}`;
  input.type = SIMPLE[type];
  if (type === "number") input.step = "any";
  label.htmlFor = input.id;
  label.textContent = needed ? `${name} (needed)` : name;
  row.append(label, input);
  if (words) row.append(hint(words));
  input.addEventListener("input", () => {
    const value = { ...parsed(text), [name]: type === "boolean" ? input.checked : type === "string" ? input.value : Number(input.value) };
    text.value = JSON.stringify(value, null, 2);
    text.setAttribute("aria-invalid", "false");
  });
  const show = (value) => {
    if (document.activeElement === input) return;
    if (type === "boolean") input.checked = Boolean(value[name]);
    else input.value = value[name] ?? "";
  };
  return { row, show };
}

function hint(words) {
  const made = document.createElement("span");
  made.className = "hint";
  made.textContent = words;
  return made;
}
