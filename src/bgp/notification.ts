// NOTIFICATION codes, their data and their names (RFC 4271 §4.5 and §6, 4486, 6608, 7313, 8538, 9003, 9384, 9687).
// Called by the codec, which finds faults, by the FSM, which sends them, and by whoever prints them.

/** RFC 4271 §4.5. `data` is what the code's rule demands, empty where it demands none. */
export interface Notification {
  readonly code: number;
  readonly subcode: number;
  readonly data: Uint8Array;
}

/** Octets that broke a rule: what the peer is told, and the rule in words for logs and state. */
export interface Malformation {
  readonly notification: Notification;
  readonly text: string;
}
