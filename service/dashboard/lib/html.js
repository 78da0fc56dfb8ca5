// Preact and htm, from one place.

export { Component, html, render, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact.js";

/** Class names that are set: `cls("a", x && "b")`. */
export const cls = (...names) => names.filter(Boolean).join(" ");
