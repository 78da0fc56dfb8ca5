// Choosing a file and sending it, with progress.

import { html, useState } from "../lib/html.js";
import { Refused } from "../lib/api.js";
import * as format from "../lib/format.js";
import { sendFile } from "../lib/uploads.js";
import { notify } from "./ui.js";

const ACCEPTED = { models: ".keras,.json", datasets: ".npz" };
const NOUNS = { models: "model", datasets: "data set" };

/** `done(upload)`: the file is there. */
export function Upload({ kind, done }) {
  const [state, setState] = useState(null);
  const send = async (event) => {
    const [file] = event.currentTarget.files;
    event.currentTarget.value = "";
    if (file === undefined) return;
    setState({ name: file.name, size: file.size, share: 0, fault: null });
    try {
      const upload = await sendFile(kind, file, (share, isResumed) => setState({ name: file.name, size: file.size, share, isResumed, fault: null }));
      setState(null);
      notify(`${file.name} is uploaded.`);
      done(upload);
    } catch (error) {
      const hint = error instanceof Refused ? "" : ". Choose the same file again to go on where it stopped";
      setState({ name: file.name, size: file.size, share: 0, fault: `${error.message}${hint}.` });
    }
  };
  return html`<div class="upload"><label class="button">Upload a ${NOUNS[kind]}…<input class="visually-hidden" type="file" accept=${ACCEPTED[kind]} aria-label=${`Upload a ${NOUNS[kind]}`} onChange=${send} /></label>
    ${state && (state.fault === null
      ? html`<div role="status"><progress max="1" value=${state.share} aria-label=${`upload of ${state.name}`}></progress><span class="muted small">${state.name}: ${format.percent(state.share, 0)} of ${format.bytes(state.size)}${state.isResumed ? ", continued" : ""}</span></div>`
      : html`<p class="fault small" role="alert">${state.name}: ${state.fault}</p>`)}</div>`;
}
