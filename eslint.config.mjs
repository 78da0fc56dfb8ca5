// Rules for the dashboard's modules: what breaks at run time, and what makes a module hard to read. It imports nothing, so that
// an ESLint of any place reads it: `make eslint`.

/** Globals of pages that the modules use; a name that is missing here is a misspelt one until somebody adds it. */
const PAGE = [
  "AbortController", "Blob", "CSS", "EventSource", "IntersectionObserver", "PointerEvent", "ResizeObserver", "SharedWorker", "URL",
  "URLSearchParams", "cancelAnimationFrame", "clearInterval", "clearTimeout", "console", "crypto", "document", "fetch", "getComputedStyle", "history",
  "localStorage", "location", "navigator", "performance", "queueMicrotask", "requestAnimationFrame", "setInterval", "setTimeout",
  "structuredClone", "window", "XMLHttpRequest", "atob",
];
const WORKER = ["EventSource", "clearTimeout", "self", "setInterval", "setTimeout"];
const NODE = ["console", "globalThis", "process"];

const readonly = (names) => Object.fromEntries(names.map((name) => [name, "readonly"]));

const rules = {
  // wrong at run time
  "array-callback-return": "error", "constructor-super": "error", "for-direction": "error", "getter-return": "error",
  "no-async-promise-executor": "error", "no-class-assign": "error", "no-compare-neg-zero": "error", "no-cond-assign": "error",
  "no-const-assign": "error", "no-constant-binary-expression": "error", "no-constant-condition": "error", "no-constructor-return": "error",
  "no-control-regex": "error", "no-debugger": "error", "no-dupe-args": "error", "no-dupe-class-members": "error", "no-dupe-else-if": "error",
  "no-dupe-keys": "error", "no-duplicate-case": "error", "no-duplicate-imports": "error", "no-empty-character-class": "error",
  "no-empty-pattern": "error", "no-ex-assign": "error", "no-fallthrough": "error", "no-func-assign": "error", "no-import-assign": "error",
  "no-inner-declarations": "error", "no-invalid-regexp": "error", "no-irregular-whitespace": "error", "no-loss-of-precision": "error",
  "no-new-native-nonconstructor": "error", "no-obj-calls": "error", "no-promise-executor-return": "off", "no-prototype-builtins": "error",
  "no-self-assign": "error", "no-self-compare": "error", "no-setter-return": "error", "no-sparse-arrays": "error", "no-template-curly-in-string": "error",
  "no-this-before-super": "error", "no-undef": "error", "no-unexpected-multiline": "error", "no-unmodified-loop-condition": "error",
  "no-unreachable": "error", "no-unreachable-loop": "error", "no-unsafe-finally": "error", "no-unsafe-negation": "error",
  "no-unsafe-optional-chaining": "error", "no-unused-labels": "error", "no-unused-private-class-members": "error",
  "no-unused-vars": ["error", { args: "after-used", caughtErrors: "all" }], "no-use-before-define": ["error", { functions: false, classes: false, variables: false }],
  "no-useless-assignment": "error", "no-useless-backreference": "error", "require-yield": "error", "use-isnan": "error", "valid-typeof": "error",
  // unsafe in a page
  "no-eval": "error", "no-implied-eval": "error", "no-new-func": "error", "no-script-url": "error",
  "no-restricted-properties": ["error", ...["innerHTML", "outerHTML", "insertAdjacentHTML"].map((property) => ({ property, message: "Text that a user chose must stay text." }))],
  "no-restricted-globals": ["error", { name: "event", message: "Use the handler's argument." }, { name: "name", message: "The window's own name." }],
  "no-alert": "error",
  // hard to read
  "consistent-return": "error", curly: ["error", "multi-line"], "default-case-last": "error", "dot-notation": "error", eqeqeq: "error", "no-else-return": "error",
  "no-empty": "error", "no-extra-boolean-cast": "error", "no-implicit-coercion": "error", "no-lonely-if": "error", "no-multi-assign": "error",
  "no-param-reassign": "error", "no-redeclare": "error", "no-regex-spaces": "error", "no-return-assign": ["error", "except-parens"], "no-sequences": "error",
  "no-shadow": "error", "no-shadow-restricted-names": "error", "no-throw-literal": "error", "no-undef-init": "error", "no-unneeded-ternary": "error",
  "no-unused-expressions": "error", "no-useless-catch": "error", "no-useless-computed-key": "error", "no-useless-concat": "error", "no-useless-escape": "error",
  "no-useless-rename": "error", "no-useless-return": "error", "no-var": "error", "no-with": "error", "object-shorthand": "error", "prefer-const": "error",
  "prefer-rest-params": "error", "prefer-spread": "error", "prefer-template": "error", radix: "error", yoda: "error",
  "max-depth": ["error", 4], "max-lines": ["error", 400], "max-params": ["error", 7], complexity: ["error", 30],
};

export default [
  { ignores: ["**/vendor/**", ".venv/**", "var/**", "site-out/**", "docs/**"] },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  { files: ["service/dashboard/**/*.js"], languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: readonly(PAGE) }, rules },
  { files: ["service/dashboard/lib/live_worker.js"], languageOptions: { globals: readonly(WORKER) } },
  { files: ["**/*.mjs"], languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: readonly(NODE) }, rules },
];
