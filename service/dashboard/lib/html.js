// Preact and htm, from one place.

import { Component, html } from "../vendor/preact.js";

export { Component, html, render, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact.js";

/** Class names that are set: `cls("a", x && "b")`. */
export const cls = (...names) => names.filter(Boolean).join(" ");

const differ = (one, other) => {
  const names = Object.keys(other);
  return names.length !== Object.keys(one).length || names.some((name) => !Object.is(one[name], other[name]));
};

/** A view that is drawn again only when one of its properties is another value. */
export const memo = (View) => class extends Component {
  shouldComponentUpdate(next) {
    return differ(this.props, next);
  }

  render(properties) {
    return html`<${View} ...${properties} />`;
  }
};
