// The front door of the packet thread: the machine `links`, driven by io/packet. Started by io/packet-thread as a worker; a
// piece of its own in the bundle, for a node that has no BFD session and serves no LAN never loads it.

import { runPacketThread } from './io/packet/worker.ts';
import type { LinksWanted } from './links/wanted.ts';
import { createLinks, dueAt, type Links, type LinksReport, type LinksView, step, viewLinks } from './links.ts';

runPacketThread<Links, LinksWanted, LinksReport, LinksView>({
  // the speakers hold a later one for the newer (milliseconds of the day's clock, as no process outlives them)
  create: () => createLinks(Date.now()),
  step,
  dueAt,
  view: viewLinks,
});
