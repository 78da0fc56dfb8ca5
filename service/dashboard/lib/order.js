// Ordering rows by a column of numbers: a radix sort over the bits of the numbers, which orders 50,000 rows in a few
// milliseconds where a comparison sort needs a tenth of a second.

const FEW = 1500; // rows below which a comparison sort is faster
const DIGIT = 16; // bits of a pass; a number has four
const BUCKETS = 1 << DIGIT;

/** `rows` by rising `values[row]`, of equal values the one that stands first in `rows`; a new Uint32Array. No NaN. */
export function orderBy(values, rows) {
  if (rows.length < FEW) {
    const places = new Map(Array.from(rows, (row, place) => [row, place]));
    return Uint32Array.from(rows).sort((a, b) => values[a] - values[b] || places.get(a) - places.get(b));
  }
  const count = rows.length;
  const keys = new Float64Array(count);
  for (let place = 0; place < count; place++) keys[place] = values[rows[place]] + 0; // no negative zero
  const words = new Uint32Array(keys.buffer); // low word, high word
  for (let place = 0; place < count; place++) {
    const sign = words[2 * place + 1] >>> 31;
    words[2 * place] ^= sign ? 0xffffffff : 0;
    words[2 * place + 1] ^= sign ? 0xffffffff : 0x80000000;
  }
  let from = Uint32Array.from({ length: count }, (_, place) => place);
  let to = new Uint32Array(count);
  for (const [word, shift] of [[0, 0], [0, DIGIT], [1, 0], [1, DIGIT]]) {
    const starts = new Uint32Array(BUCKETS + 1);
    for (let place = 0; place < count; place++) starts[((words[2 * place + word] >>> shift) & (BUCKETS - 1)) + 1]++;
    if (starts.includes(count)) continue; // all have the same digit
    for (let bucket = 1; bucket <= BUCKETS; bucket++) starts[bucket] += starts[bucket - 1];
    for (let index = 0; index < count; index++) to[starts[(words[2 * from[index] + word] >>> shift) & (BUCKETS - 1)]++] = from[index];
    [from, to] = [to, from];
  }
  return from.map((place) => rows[place]);
}
