// The network of pods in a lab, as plain as a CNI can be: every pod is a namespace behind its node on a link of its
// own, every node forwards, and every node has a route to the pods of each other node.
//   pods of node i   10.244.i.0/24    fd00:244:i::/64
// The router and the client know nothing of pods: they reach them by addresses of Services alone.

import { type Lab, node, type Place } from '../interop/lab.ts';
import { ip } from '../interop/namespace.ts';

export const POD_CIDR = '10.244.0.0/16,fd00:244::/48';
/** What a pod sends everything to; the node answers for it on each pod's link. */
const GATEWAY = { ipv4: '169.254.1.1', ipv6: 'fe80::1' } as const;

export interface PodAddress {
  readonly ipv4: string;
  readonly ipv6: string;
}

export class PodNetwork {
  readonly #lab: Lab;
  #pods = 0;

  /** Nodes are 1 … `nodes`. The lab must be up. */
  constructor(lab: Lab, nodes: number) {
    this.#lab = lab;
    const each = Array.from({ length: nodes }, (_, at) => at + 1);
    for (const i of each) {
      const forward = ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1'];
      lab.run(`n${i}`, ['sysctl', '-qw', ...forward]);
      const others = each.filter((other) => other !== i);
      lab.ip(
        `n${i}`,
        ...others.map((other) => `route add 10.244.${other}.0/24 via ${node(other).ipv4}`),
        ...others.map((other) => `route add fd00:244:${other}::/64 via ${node(other).ipv6}`),
      );
    }
  }

  /** A namespace for one pod behind the i-th node. */
  attach(i: number): { readonly place: Place; readonly address: PodAddress } {
    const number = ++this.#pods;
    const place: Place = `p${number}`;
    const name = this.#lab.namespace(place);
    const address = { ipv4: `10.244.${i}.${number}`, ipv6: `fd00:244:${i}::${number}` };
    ip(undefined, [`netns add ${name}`]);
    // as network add-ons call it: no address is announced there (metallb-excludel2)
    const link = `veth${number}`;
    ip(this.#lab.namespace(`n${i}`), [
      `link add ${link} type veth peer name eth0 netns ${name}`,
      `link set ${link} up`,
      `addr add ${GATEWAY.ipv4}/32 dev ${link}`,
      `addr add ${GATEWAY.ipv6}/64 dev ${link} nodad`,
      `route add ${address.ipv4}/32 dev ${link}`,
      `route add ${address.ipv6}/128 dev ${link}`,
    ]);
    this.#lab.run(place, ['sysctl', '-qw', 'net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0']);
    ip(name, [
      ...['link set lo up', 'link set eth0 up'],
      `addr add ${address.ipv4}/32 dev eth0`,
      `addr add ${address.ipv6}/128 dev eth0 nodad`,
      `route add ${GATEWAY.ipv4}/32 dev eth0`,
      `route add default via ${GATEWAY.ipv4}`,
      `route add default via ${GATEWAY.ipv6} dev eth0`,
    ]);
    return { place, address };
  }

  /** Takes the namespace away; what ran there must have ended. */
  detach(place: Place): void {
    ip(undefined, [`netns del ${this.#lab.namespace(place)}`]);
  }
}
