// Every "no" of the brain, in one closed list: what it means and what to do about it. Log, status, CLI, page and the
// docs page are faces of this list. A new reason is a new name in the unions and a row in the table, or it does not
// compile; docs/reasons.md is printed from here (scripts/reasons.ts) and a test holds it to that.

/** Why a Service has no address, or is not announced by a node over a protocol. */
export interface Refusal {
  readonly reason: RefusalReason;
  /** One sentence with the names of this case. Where MetalLB has a text, it is that text. */
  readonly message: string;
}

export type RefusalReason = AllocationReason | AnnouncementReason;

/** Why there is no address. */
export type AllocationReason =
  | 'noConfiguration'
  | 'notLoadBalancer'
  | 'otherLoadBalancerClass'
  | 'noPools'
  | 'noClusterIP'
  | 'notEnoughClusterIPs'
  | 'clusterIPFamilyUnknown'
  | 'requestedIPInvalid'
  | 'requestedIPTwice'
  | 'requestedIPFamilyMismatch'
  | 'requestedIPNotAllowed'
  | 'requestedIPNotInPool'
  | 'requestedIPInUse'
  | 'unknownPool'
  | 'poolNotCompatible'
  | 'poolExhausted'
  | 'noAvailableIPs';

/** Why this node does not announce; the first nine are MetalLB's words for it. */
export type AnnouncementReason =
  | 'notOwner'
  | 'noMatchingAdvertisement'
  | 'conflictingAdvertisements'
  | 'nodeNetworkUnavailable'
  | 'nodeLabeledExcludeBalancers'
  | 'noLocalEndpoints'
  | 'noEndpoints'
  | 'noIPAllocated'
  | 'invalidIP'
  | 'ipNotAllowed'
  | 'sharedIPWithServiceSelector'
  | 'noPeer'
  | 'noPeerForFamily'
  | 'ownerStillAnswers'
  | 'stranger'
  | 'leftToMetalLB'
  | 'noInterface'
  | 'notYetClaimed'
  | 'speakerLeaving';

/** What a reason means, whatever the Service, and what its owner can do. One or two sentences each. */
export interface Explanation {
  readonly about: 'address' | 'announcement';
  readonly means: string;
  readonly remedy: string;
}

const address = (means: string, remedy: string): Explanation => ({ about: 'address', means, remedy });
const announcement = (means: string, remedy: string): Explanation => ({ about: 'announcement', means, remedy });

export const REASONS: Readonly<Record<RefusalReason, Explanation>> = {
  noConfiguration: address(
    'No configuration was accepted yet, so nothing is given out and nothing is announced.',
    'Look at the configuration error in the log, the state or the metric, and mend the resource that it names.',
  ),
  notLoadBalancer: address(
    'The Service is not of type LoadBalancer.',
    'Set `spec.type: LoadBalancer` if it should have an address.',
  ),
  otherLoadBalancerClass: address(
    'The Service belongs to another load balancer: its `spec.loadBalancerClass` is not the one that is served here.',
    'Make `spec.loadBalancerClass` and the flag `--lb-class` equal; without the flag only Services without a class are served.',
  ),
  noPools: address('There is no IPAddressPool at all.', 'Create an IPAddressPool.'),
  noClusterIP: address(
    'The Service has no cluster IP, so the address families that it needs are not known.',
    'Wait until the API server has filled in `spec.clusterIPs`.',
  ),
  notEnoughClusterIPs: address(
    'The Service asks for RequireDualStack but has only one cluster IP.',
    'Make the cluster dual-stack, or use `ipFamilyPolicy: PreferDualStack` or `SingleStack`.',
  ),
  clusterIPFamilyUnknown: address(
    'The cluster IPs are not one address, nor two of different families.',
    'Correct `spec.clusterIPs`; a Service with `clusterIP: None` can have no address.',
  ),
  requestedIPInvalid: address(
    'The address that was asked for is no IP address, or there are more than one of a family.',
    'Correct `spec.loadBalancerIP` or the annotation `metallb.io/loadBalancerIPs`: at most one IPv4 and one IPv6 address.',
  ),
  requestedIPTwice: address(
    'An address is asked for in both `spec.loadBalancerIP` and the annotation `metallb.io/loadBalancerIPs`.',
    'Keep one of them.',
  ),
  requestedIPFamilyMismatch: address(
    'The addresses that were asked for are not of the families of the cluster IPs.',
    'Ask for one address of each family that the Service has.',
  ),
  requestedIPNotAllowed: address(
    'The addresses that were asked for do not lie in one pool; one that `avoidBuggyIPs` excludes lies in none.',
    'Ask for addresses of one IPAddressPool, or add them to a pool.',
  ),
  requestedIPNotInPool: address(
    'The addresses that were asked for are not of the pool that was asked for.',
    'Make the address and the annotation `metallb.io/address-pool` agree, or remove one of them.',
  ),
  requestedIPInUse: address(
    'Another Service holds the address, and the two may not share it.',
    'Ask for another one; or give both Services the same `metallb.io/allow-shared-ip`, different ports, and the same selector where `externalTrafficPolicy` is Local.',
  ),
  unknownPool: address(
    'The pool that was asked for does not exist.',
    'Correct the annotation `metallb.io/address-pool`, or create the pool.',
  ),
  poolNotCompatible: address(
    "The pool's `serviceAllocation` does not select this Service or its namespace.",
    "Change the pool's `serviceAllocation`, the labels, or the pool that is asked for.",
  ),
  poolExhausted: address(
    'The pool that was asked for has no free address left of the families that the Service needs.',
    'Add addresses to the pool, remove Services that hold some, or ask for another pool.',
  ),
  noAvailableIPs: address(
    'No pool that gives addresses by itself, and is open to this Service, has one left of the families that it needs.',
    'Add addresses of those families to a pool with `autoAssign: true`; both families of a Service come from one pool.',
  ),
  notOwner: announcement(
    'Another node announces the address, no node may, no advertisement of the pool includes this node, or the cluster has no such Node.',
    'Nothing, if another node announces it. Else create an L2Advertisement or BGPAdvertisement for the pool that includes nodes with a ready endpoint.',
  ),
  noMatchingAdvertisement: announcement(
    'No advertisement of the pool selects both this Service and this node.',
    'Change `serviceSelectors` or `nodeSelectors` of an advertisement, or the labels.',
  ),
  conflictingAdvertisements: announcement(
    'Two advertisements give the same prefix to the same peer with different local preferences.',
    'Give them the same `localPref`, other `peers`, or selectors that do not meet.',
  ),
  nodeNetworkUnavailable: announcement(
    'The node has the condition NetworkUnavailable.',
    'Find out why the network of the node is not ready; the network add-on sets this condition.',
  ),
  nodeLabeledExcludeBalancers: announcement(
    'The node has the label `node.kubernetes.io/exclude-from-external-load-balancers`.',
    'Remove the label, or start the speaker with `--ignore-exclude-lb`.',
  ),
  noLocalEndpoints: announcement(
    'The Service has `externalTrafficPolicy: Local` and no endpoint on this node can serve.',
    'Nothing, if other nodes have endpoints. Else look at the readiness of the pods.',
  ),
  noEndpoints: announcement(
    'No endpoint of the Service can serve.',
    'Look at the readiness of the pods and at the selector of the Service.',
  ),
  noIPAllocated: announcement('The Service has no address.', 'See why it has none.'),
  invalidIP: announcement(
    'The status of the Service holds an entry that is no IP address.',
    'Remove the entry: something else writes the status of this Service.',
  ),
  ipNotAllowed: announcement(
    'The addresses of the Service do not lie in one pool.',
    'Nothing, if the pools just changed: the Service is about to get other addresses. Else look at the pools.',
  ),
  sharedIPWithServiceSelector: announcement(
    'The Service may share its address, and an L2Advertisement for it has `serviceSelectors`: the Services on one address could end on different nodes.',
    'Remove the `serviceSelectors`, or the annotation `metallb.io/allow-shared-ip`.',
  ),
  noPeer: announcement(
    'No BGP session of this node is among those that the advertisement names.',
    'Create a BGPPeer for this node, or change `peers` of the advertisement.',
  ),
  noPeerForFamily: announcement(
    'The sessions of this node do not carry the address family of the prefix.',
    'Set `dualStackAddressFamily: true` on a BGPPeer, or add a peer with an address of that family.',
  ),
  ownerStillAnswers: announcement(
    'The speaker that answered for the address is not heard any more, but its node still answers on the LAN: it keeps the address.',
    'See why the speakers do not hear each other: UDP 7946 between the nodes, the memberlist Secret, the speaker of that node. If the node is cut off by a switch that answers in its place, switch that off.',
  ),
  stranger: announcement(
    'A machine that is no node of the cluster answers for the address on the LAN (RFC 5227). The Event `AddressConflict` and the log tell its MAC.',
    'Take the address from that machine, or from the pool. It is asked again every 10 seconds. `--l2-conflict=warn` answers all the same. If the MAC is that of a gateway with proxy ARP, leave two addresses of the pool free.',
  ),
  leftToMetalLB: announcement(
    "A speaker of MetalLB runs on a node that may answer for the address, so it is MetalLB's for now.",
    "Nothing, while MetalLB is being replaced: with its last speaker the address is taken over. Else remove MetalLB's speakers.",
  ),
  noInterface: announcement(
    'No interface of the node can answer for the address: none of those that the L2Advertisement names is there, up and a LAN, all are excluded, or the speaker may not open raw sockets.',
    'Look at `interfaces` of the L2Advertisement, at the ConfigMap `metallb-excludel2`, at the state of the interfaces, and in the log for the capability NET_RAW.',
  ),
  notYetClaimed: announcement(
    'Nobody is heard answering for the address. A node that started, or that is not the first in order, waits before it takes one.',
    'Nothing, if it ends within two seconds. Else look at the log of the speaker and at `layer2` of its state.',
  ),
  speakerLeaving: announcement(
    'The speaker of this node is ending (SIGTERM) and gave the address up without handing it to another.',
    'Nothing, if it is to end: another speaker that may takes the address, or this one when it starts again.',
  ),
};

/** The page docs/reasons.md, whole. */
export function reasonsPage(): string {
  const part = (about: Explanation['about']): string =>
    Object.entries(REASONS)
      .filter(([, explanation]) => explanation.about === about)
      .map(([reason, { means, remedy }]) => `| \`${reason}\` | ${means} | ${remedy} |`)
      .join('\n');
  const head = '| reason | what it means | what to do |\n|---|---|---|';
  return `# Why a Service has no address, or is not announced

Every "no" has one of these names, in the log, in \`fairway plan\`, in the state of a process and in its metrics. This
page is printed from the list in \`src/plan/explain.ts\` by \`npx -- node scripts/reasons.ts\`.

## No address

${head}
${part('address')}

## Not announced by a node

${head}
${part('announcement')}
`;
}
