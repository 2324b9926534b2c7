// The lowest number that is not in use, out of 0, 1, 2 …, in O(log n) however many there are: what is in use forms a
// dense start (`next` is its end) with holes in it, and the holes lie in a heap. The allocator keeps one for each
// family of a pool, so that a /8 or an IPv6 /64 costs no more than a /24.

export interface Vacancy {
  /** Everything that is in use. */
  readonly used: Set<bigint>;
  /** Every number below is in use, or is in `holes`. */
  next: bigint;
  /** Binary heap, the lowest first; may hold numbers that came into use again: they are dropped when met. */
  readonly heap: bigint[];
  readonly holes: Set<bigint>;
}

export function createVacancy(): Vacancy {
  return { used: new Set(), next: 0n, heap: [], holes: new Set() };
}

export function occupy(vacancy: Vacancy, number: bigint): void {
  vacancy.used.add(number);
}

export function vacate(vacancy: Vacancy, number: bigint): void {
  if (!vacancy.used.delete(number) || number >= vacancy.next || vacancy.holes.has(number)) return;
  vacancy.holes.add(number);
  push(vacancy.heap, number);
}

/** The lowest number not in use; it stays so until it is occupied. */
export function lowestVacant(vacancy: Vacancy): bigint {
  const { used, heap, holes } = vacancy;
  for (let lowest = heap[0]; lowest !== undefined; lowest = heap[0]) {
    if (!used.has(lowest)) return lowest;
    holes.delete(lowest);
    pop(heap);
  }
  while (used.has(vacancy.next)) vacancy.next++;
  return vacancy.next;
}

function push(heap: bigint[], number: bigint): void {
  let at = heap.push(number) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = heap[parent];
    if (above === undefined || above <= number) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = number;
}

function pop(heap: bigint[]): void {
  const number = heap.pop();
  if (number === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    const left = 2 * at + 1;
    const right = left + 1;
    const smaller = (heap[right] ?? number) < (heap[left] ?? number) ? right : left;
    const below = heap[smaller];
    if (below === undefined || below >= number) break;
    heap[at] = below;
    at = smaller;
  }
  heap[at] = number;
}
