// Every "no" of the brain, in one closed list: what it means and what to do about it. Log, status, CLI, page and the
// docs page are faces of this list.

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
  | 'noPeerForFamily';
