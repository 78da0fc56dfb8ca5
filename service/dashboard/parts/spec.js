// Specifications of jobs: shortened for people, checked against the service's JSON Schema.

/** A specification without what is null, or an upload's digest: what a person would write. What is empty says something. */
export function pruned(value) {
  if (Array.isArray(value)) return value.map(pruned);
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value)
    .filter(([name, part]) => part !== null && !(name === "sha256" && value.kind === "uploaded"))
    .map(([name, part]) => [name, pruned(part)]);
  return Object.fromEntries(entries);
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** A specification without what its schema has as a default: the shortest one that means the same. */
export function compact(value, schema, root = schema) {
  const part = formOf(value, schema, root);
  if (Array.isArray(value)) return value.map((item, index) => compact(item, part.prefixItems?.[index] ?? part.items ?? {}, root));
  if (value === null || typeof value !== "object") return value;
  const fields = part.properties ?? {};
  return Object.fromEntries(Object.entries(value)
    .filter(([name, item]) => name === "kind" || !(fields[name] && "default" in fields[name] && same(item, fields[name].default)))
    .map(([name, item]) => [name, compact(item, fields[name] ?? (typeof part.additionalProperties === "object" ? part.additionalProperties : {}), root)]));
}

/** The form of a union that a value has. */
function formOf(value, schema, root, depth = 0) {
  const part = resolved(schema, root);
  const choices = part.anyOf ?? part.oneOf;
  if (!choices || depth > 5) return part;
  const target = part.discriminator?.mapping[value?.kind];
  if (target) return resolved({ $ref: target }, root);
  return choices.map((choice) => formOf(value, choice, root, depth + 1)).find((form) => form.properties?.kind?.const !== undefined ? form.properties.kind.const === value?.kind : faults(value, form, root).length === 0) ?? {};
}

/** The part of a schema that a reference names. */
export const resolved = (schema, root) => {
  let part = schema;
  for (let hops = 0; part?.$ref && hops < 20; hops++) part = root.$defs?.[part.$ref.split("/").at(-1)];
  return part ?? {};
};

const TYPES = { object: (value) => value !== null && typeof value === "object" && !Array.isArray(value), array: Array.isArray, string: (value) => typeof value === "string", number: (value) => typeof value === "number", integer: (value) => Number.isInteger(value), boolean: (value) => typeof value === "boolean", null: (value) => value === null };

const TYPE_NAMES = { object: "a mapping", array: "a list", string: "text", number: "a number", integer: "a whole number", boolean: "true or false", null: "empty" };

/** Faults of a value by a schema: [{pointer, detail}]. It knows the words that the schema of a job uses. */
export function faults(value, schema, root = schema, pointer = "") {
  const part = resolved(schema, root);
  const choices = part.anyOf ?? part.oneOf;
  if (choices) return chosen(value, choices, part, root, pointer);
  if (part.enum && !part.enum.includes(value)) return [{ pointer, detail: `should be one of ${part.enum.join(", ")}` }];
  const types = [part.type ?? []].flat();
  if (types.length && !types.some((type) => TYPES[type]?.(value))) return [{ pointer, detail: `should be ${types.map((type) => TYPE_NAMES[type] ?? type).join(" or ")}` }];
  const list = outOfBounds(value, part).map((detail) => ({ pointer, detail }));
  if ("const" in part && value !== part.const) list.unshift({ pointer, detail: `should be ${JSON.stringify(part.const)}` });
  if (Array.isArray(value)) return [...list, ...value.flatMap((item, index) => faultsOfItem(item, part.prefixItems?.[index] ?? part.items, root, `${pointer}/${index}`))];
  if (TYPES.object(value) && (part.properties || part.additionalProperties !== undefined)) return [...list, ...faultsOfFields(value, part, root, pointer)];
  return list;
}

const BOUNDS = [
  ["minimum", "number", (value, limit) => value >= limit, (limit) => `should be at least ${limit}`],
  ["maximum", "number", (value, limit) => value <= limit, (limit) => `should be at most ${limit}`],
  ["exclusiveMinimum", "number", (value, limit) => value > limit, (limit) => `should be above ${limit}`],
  ["exclusiveMaximum", "number", (value, limit) => value < limit, (limit) => `should be below ${limit}`],
  ["maxLength", "string", (value, limit) => value.length <= limit, (limit) => `should have at most ${limit} characters`],
  ["minItems", "array", (value, limit) => value.length >= limit, (limit) => `should have at least ${limit} items`],
  ["maxItems", "array", (value, limit) => value.length <= limit, (limit) => `should have at most ${limit} items`],
];

const outOfBounds = (value, part) => BOUNDS.filter(([word, type, fits]) => part[word] !== undefined && TYPES[type](value) && !fits(value, part[word])).map(([word, , , text]) => text(part[word]));

const faultsOfItem = (item, schema, root, pointer) => (typeof schema === "object" ? faults(item, schema, root, pointer) : []);

function faultsOfFields(value, part, root, pointer) {
  const missing = (part.required ?? []).filter((name) => !(name in value)).map((name) => ({ pointer: `${pointer}/${name}`, detail: "is required" }));
  const others = Object.entries(value).flatMap(([name, item]) => {
    const field = part.properties?.[name] ?? part.additionalProperties;
    if (field === false || (field === undefined && part.properties)) return [{ pointer: `${pointer}/${name}`, detail: `is not known here; known are ${Object.keys(part.properties ?? {}).join(", ")}` }];
    return faultsOfItem(item, field, root, `${pointer}/${name}`);
  });
  return [...missing, ...others];
}

/** Of several forms: none if one fits; else the faults of the form that the value is meant to have. */
function chosen(value, choices, part, root, pointer) {
  const kind = part.discriminator ? value?.kind : undefined;
  if (kind !== undefined) {
    const target = part.discriminator.mapping[kind];
    if (target === undefined) return [{ pointer: `${pointer}/kind`, detail: `should be one of ${Object.keys(part.discriminator.mapping).join(", ")}` }];
    return faults(value, { $ref: target }, root, pointer);
  }
  const tried = choices.map((choice) => faults(value, choice, root, pointer));
  if (tried.some((list) => list.length === 0)) return [];
  const isObject = TYPES.object(value);
  const alike = tried.filter((list, index) => { const form = resolved(choices[index], root); return isObject ? form.properties || form.discriminator || form.oneOf || form.anyOf : form.type === typeof value || form.enum || (Array.isArray(value) && form.type === "array"); });
  return (alike.length ? alike : tried).reduce((least, list) => (deepest(list) > deepest(least) || (deepest(list) === deepest(least) && list.length < least.length) ? list : least));
}

const deepest = (list) => Math.max(...list.map((fault) => fault.pointer.split("/").length));

/** The fields of an object's schema with their descriptions, for completion: [{name, description, values}]. */
export function fieldsAt(path, root) {
  let parts = [root];
  for (const name of path) parts = parts.flatMap((part) => expanded(part, root)).flatMap((part) => { const next = part.properties?.[name] ?? (typeof part.additionalProperties === "object" ? part.additionalProperties : undefined) ?? (part.type === "array" ? part.items : undefined); return next ? [next] : []; });
  const fields = new Map();
  for (const part of parts.flatMap((item) => expanded(item, root))) {
    for (const [name, field] of Object.entries(part.properties ?? {})) if (!fields.has(name)) fields.set(name, { name, description: field.description ?? resolved(field, root).description ?? "", values: valuesOf(field, root), default: field.default });
  }
  return [...fields.values()];
}

/** A schema's forms that are not unions themselves. */
function expanded(schema, root, depth = 0) {
  const part = resolved(schema, root);
  const choices = part.anyOf ?? part.oneOf;
  return choices && depth < 4 ? choices.flatMap((choice) => expanded(choice, root, depth + 1)) : [part];
}

/** What a field may be where that is a list of words. */
export const valuesOf = (schema, root) => [...new Set(expanded(schema, root).flatMap((part) => part.enum ?? ("const" in part ? [part.const] : part.properties?.kind?.const ? [part.properties.kind.const] : part.type === "boolean" ? [true, false] : [])))];
