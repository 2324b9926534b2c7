// Layer 2 in `GET /api/v1/state`: each interface that serves it with the speakers that are heard there, and each address
// with who owns it. Fields are added, never renamed.

import type { AddressView } from '../l2/view.ts';
import type { LinksView } from '../links/view.ts';
import type { Ip } from '../net/address.ts';
import type { Plan } from '../plan/plan.ts';
import type { Dates } from './state.ts';

/** `links` undefined: there is no packet thread, for layer 2 has nothing to do. */
export function layer2Json(links: LinksView | undefined, plan: Plan | undefined, dates: Dates) {
  const lans = links?.lans ?? [];
  const services = Map.groupBy(plan?.candidacies ?? [], ({ ip }) => ip);
  const servicesOf = (ip: Ip) => (services.get(ip) ?? []).map(({ service }) => service).sort();
  return {
    segments: lans.map(({ link, serves, frames, segment, responder }) => ({
      interface: link,
      serves,
      frames,
      carrier: segment?.carrier ?? null,
      receives: segment?.receives ?? null,
      ready: segment?.ready ?? null,
      gatewayOk: segment?.gatewayOk ?? null,
      gateways: (segment?.gateways ?? []).map(({ ip, mac, confirms }) => ({ ip, mac: mac ?? null, confirms })),
      answered: responder.answers.length,
      queuedAnnouncements: responder.queued,
      speakers: (segment?.members ?? []).map(({ node, link: remote, heard, lastHeardMs, ...rest }) => ({
        ...{ node, interface: remote, heard, lastHeardAt: lastHeardMs === undefined ? null : dates(lastHeardMs) },
        ...{ ready: rest.ready, gatewayOk: rest.gatewayOk, leaving: rest.leaving },
        ...{ claims: rest.claims, stillAnswers: rest.stillAnswers },
      })),
      ignored: { frames: responder.drops, statements: segment?.drops ?? {} },
    })),
    claims: lans
      .flatMap(({ link, segment, responder }) =>
        segment === undefined
          ? responder.answers.map((ip) => ({ ...claimJson({ ip, state: 'owner', moves: 0 }), interface: link }))
          : segment.addresses.map((address) => ({ ...claimJson(address), interface: link })),
      )
      .map((claim) => ({ ...claim, services: servicesOf(claim.ip) })),
  };
}

function claimJson({ ip, state, epoch, owner, heldBy, confirmation, takenBy, moves }: AddressView) {
  return {
    ...{ ip, state, epoch: epoch ?? null, owner: owner ?? null, heldBy: heldBy ?? null },
    ...{ confirmation: confirmation ?? null, takenBy: takenBy ?? null, moves },
  };
}
