// A session that is held (RFC 5880 §6.2: a system may refuse to advance): it stays in Down whatever the peer says, goes on
// telling so, and comes up by the usual way when it is released.

import { describe, expect, it } from 'vitest';
import { SESSION_STATES } from '../../src/bfd/packet.ts';
import { viewSession } from '../../src/bfd/view.ts';
import { Driven } from './bfd-driven.ts';

describe('a session that is held', () => {
  it.each(SESSION_STATES)('stays in Down when the peer says %s', (state) => {
    const driven = new Driven().do({ on: 'hold' }).hear({ state });
    expect(driven.session.state).toBe('Down');
    expect(driven.reports).toEqual([]);
    expect(viewSession(driven.session).held).toBe(true);
    driven.pass(1000);
    expect(driven.sent.at(-1)?.packet.state).toBe('Down');
  });

  it('while it is Up stays so, and does not come up again once it went down', () => {
    const driven = new Driven()
      .hear({ state: 'Down' })
      .hear({ state: 'Init' })
      .do({ on: 'hold' })
      .hear({ state: 'Up' });
    expect(driven.session.state).toBe('Up');
    driven.hear({ state: 'Down' }).hear({ state: 'Down' }).hear({ state: 'Init' });
    expect(driven.session.state).toBe('Down');
  });

  it('comes up when it is released', () => {
    const driven = new Driven()
      .do({ on: 'hold' })
      .hear({ state: 'Init' })
      .do({ on: 'release' })
      .hear({ state: 'Init' });
    expect(driven.session.state).toBe('Up');
  });
});
