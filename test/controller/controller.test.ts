// The controller as a function: what it writes, and above all when it writes nothing.

import { describe, expect, it } from 'vitest';
import { control } from '../../src/controller.ts';
import { pool, service, start, TinyApi } from './api.ts';

const LARGEST_INT64 = 9223372036854775807n;

describe('a Service', () => {
  it('gets address, pool and condition in one write, and then nothing more', () => {
    const api = new TinyApi().put(pool('p', ['192.0.2.0/30']), service('default/web'));
    const controller = start();
    const round = api.round(controller);
    expect(round.services.get('default/web')).toEqual({
      key: 'default/web',
      informs: false,
      patch: {
        metadata: { annotations: { 'metallb.io/ip-allocated-from-pool': 'p' } },
        status: {
          loadBalancer: { ingress: [{ ip: '192.0.2.0' }] },
          conditions: [
            {
              type: 'metallb.io/AddressAllocated',
              status: 'True',
              reason: 'Allocated',
              message: 'from pool "p"',
              lastTransitionTime: '1970-01-01T00:00:00.000Z',
            },
          ],
        },
      },
    });
    expect(round.events.map(({ reason, message }) => [reason, message])).toEqual([
      ['IPAllocated', 'Assigned IP ["192.0.2.0"]'],
    ]);
    expect(api.settle(controller).events).toEqual([]);
    expect(api.writes).toBe(2);
  });

  it('finds nothing to do in a process that starts again, pending Services included', () => {
    const api = new TinyApi().put(pool('p', ['192.0.2.1/32']), service('default/a'), service('default/b'));
    api.settle(start());
    expect(api.status('default/b').condition).toMatchObject({ status: 'False', reason: 'noAvailableIPs' });
    const before = api.writes;
    const round = api.settle(start());
    expect([api.writes, round.events]).toEqual([before, []]);
    expect(api.status('default/a').ingress).toEqual(['192.0.2.1']);
  });

  it('is told why it has none and what to do, and when that ends', () => {
    const api = new TinyApi().put(pool('p', ['192.0.2.1/32']), service('default/a'), service('default/b'));
    const controller = start();
    api.settle(controller);
    const { message, lastTransitionTime } = api.status('default/b').condition ?? {};
    expect(message).toBe(
      'no available IPs. Add addresses of those families to a pool with `autoAssign: true`; both families of a Service come from one pool.',
    );
    expect(lastTransitionTime).toBe('1970-01-01T00:00:00.000Z');
    api.now = 60_000;
    api.remove('Service', 'default/a');
    api.settle(controller);
    expect(api.status('default/b')).toMatchObject({
      ingress: ['192.0.2.1'],
      condition: { status: 'True', lastTransitionTime: '1970-01-01T00:01:00.000Z' },
    });
  });

  it('tells of a refusal once, not at each round, and again when it is another one', () => {
    const api = new TinyApi().put(pool('p', ['192.0.2.1/32']), service('default/a'), service('default/b'));
    const controller = start();
    const reasons = () => api.round(controller).events.map(({ service: { key }, reason }) => `${key} ${reason}`);
    expect(reasons()).toEqual(['default/a IPAllocated', 'default/b AllocationFailed']);
    expect([reasons(), reasons()]).toEqual([[], []]);
    api.edit('Service default/b', { metadata: { labels: { tier: 'front' } } });
    expect([reasons(), reasons()]).toEqual([[], []]);
    api.edit('Service default/b', { metadata: { annotations: { 'metallb.io/address-pool': 'nope' } } });
    expect([reasons(), reasons()]).toEqual([['default/b AllocationFailed'], []]);
    // its own status that comes back, without the address, is no news
    api.edit('Service default/a', { metadata: { annotations: { 'metallb.io/address-pool': 'nope' } } });
    expect([reasons(), reasons(), reasons()]).toEqual([['default/a AllocationFailed'], [], []]);
  });

  it('keeps what is not ours: ipMode of an address that stays, conditions of others', () => {
    const theirs = { type: 'example.com/Seen', status: 'True', reason: 'Seen', message: '', observedGeneration: 3 };
    const status = {
      loadBalancer: { ingress: [{ ip: '192.0.2.2', ipMode: 'Proxy', ports: [{ port: 80, protocol: 'TCP' }] }] },
      conditions: [theirs],
    };
    const spec = { clusterIPs: ['10.0.0.1', 'fd00::1'], ipFamilyPolicy: 'PreferDualStack' };
    const api = new TinyApi().put(
      pool('p', ['192.0.2.0/29', '2001:db8::/126']),
      service('default/a', spec, { status }),
    );
    api.settle(start());
    const written = api.objects.get('Service default/a')?.['status'] as { loadBalancer: object; conditions: object[] };
    expect(written.loadBalancer).toEqual({
      ingress: [
        { ip: '192.0.2.2', ipMode: 'Proxy', ports: [{ port: 80, protocol: 'TCP' }] },
        { ip: '2001:db8::', ipMode: 'VIP' },
      ],
    });
    expect(written.conditions).toHaveLength(2);
    expect(written.conditions[0]).toEqual(theirs);
  });

  it('loses all of it with its type, and the address goes on at once', () => {
    const api = new TinyApi().put(pool('p', ['192.0.2.1/32']), service('default/a'), service('default/b'));
    const controller = start();
    api.settle(controller);
    api.edit('Service default/a', { spec: { type: 'ClusterIP' } });
    const round = api.round(controller);
    expect(round.services.get('default/a')?.patch).toEqual({
      metadata: { annotations: { 'metallb.io/ip-allocated-from-pool': null } },
      status: { loadBalancer: { ingress: null }, conditions: null },
    });
    expect(api.status('default/b').ingress).toEqual(['192.0.2.1']);
    api.settle(controller);
    expect(api.status('default/a')).toEqual({ ingress: [] });
  });

  it('is released under --lb-class too, though its class went with its type', () => {
    const settings = { loadBalancerClass: 'metallb', ignoreExcludeLabel: false };
    const spec = { loadBalancerClass: 'metallb' };
    const api = new TinyApi().put(pool('p', ['192.0.2.1/32']), service('default/a', spec), service('default/b', spec));
    const controller = start({ settings });
    api.settle(controller);
    api.edit('Service default/a', { spec: { type: 'ClusterIP', loadBalancerClass: null } });
    api.settle(controller);
    expect(api.status('default/a')).toEqual({ ingress: [] });
    expect(api.status('default/b').ingress).toEqual(['192.0.2.1']);
  });

  it('of another class is not touched, whatever it says', () => {
    const status = { loadBalancer: { ingress: [{ ip: '198.51.100.1' }] } };
    const theirs = service('default/theirs', { loadBalancerClass: 'other' }, { status });
    const api = new TinyApi().put(pool('p', ['192.0.2.1/32']), theirs);
    expect(api.settle(start()).services.size).toBe(0);
    const settings = { loadBalancerClass: 'metallb', ignoreExcludeLabel: false };
    const plain = service('default/plain', {}, { status });
    expect(new TinyApi().put(pool('p', []), theirs, plain).round(start({ settings })).services.size).toBe(0);
  });

  it('without marks of ours that is no load balancer loses a left-over ingress only where no class is set', () => {
    const left = service(
      'default/a',
      { type: 'NodePort' },
      { status: { loadBalancer: { ingress: [{ ip: '1.2.3.4' }] } } },
    );
    const api = new TinyApi().put(pool('p', ['192.0.2.1/32']), left, service('default/plain', { type: 'ClusterIP' }));
    const settings = { loadBalancerClass: 'metallb', ignoreExcludeLabel: false };
    expect(api.round(start({ settings })).services.size).toBe(0);
    expect([...api.round(start()).services.keys()]).toEqual(['default/a']);
  });

  it('that cannot be read any more keeps its address from others, and is not written', () => {
    const api = new TinyApi().put(pool('p', ['192.0.2.1/32']), service('default/a'));
    const controller = start();
    api.settle(controller);
    api.edit('Service default/a', { spec: { ports: [{ port: 'http' }] } });
    api.put(service('default/b'));
    api.settle(controller);
    expect([api.status('default/a').ingress, api.status('default/b').ingress]).toEqual([['192.0.2.1'], []]);
  });

  it('whose status was edited by hand: an address that may be had is kept, another is put right', () => {
    const api = new TinyApi().put(pool('p', ['192.0.2.0/30']), service('default/a'));
    const controller = start();
    api.settle(controller);
    const edit = (ip: string) => {
      api.edit('Service default/a', { status: { loadBalancer: { ingress: [{ ip }] } } });
      api.settle(controller);
      return api.status('default/a').ingress;
    };
    expect(edit('192.0.2.3')).toEqual(['192.0.2.3']);
    expect(edit('203.0.113.9')).toEqual(['192.0.2.0']);
  });
});

describe('without a configuration', () => {
  it('who has an address keeps it, who waits is told why', () => {
    const status = { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } };
    const api = new TinyApi().put(
      pool('bad', ['192.0.2.1/33']),
      service('default/a', {}, { status }),
      service('default/b'),
    );
    const controller = start();
    const round = api.round(controller);
    expect(round.config).toBeUndefined();
    expect(round.refused).toContain('192.0.2.1/33');
    expect([...round.services.values()].map(({ key, informs }) => [key, informs])).toEqual([['default/b', true]]);
    expect(api.status('default/b').condition).toMatchObject({ status: 'False', reason: 'noConfiguration' });
    api.settle(controller);
  });

  it('that is new, the old one stays in force and the reason is there', () => {
    const api = new TinyApi().put(pool('p', ['192.0.2.0/30']), service('default/a'));
    const controller = start();
    api.settle(controller);
    api.put(pool('q', ['192.0.2.2/32']), service('default/b'));
    const round = api.settle(controller);
    expect(round.refused).toBe('CIDR "192.0.2.2/32" in pool "q" overlaps with already defined CIDR "192.0.2.0/30"');
    expect(api.status('default/b').ingress).toEqual(['192.0.2.1']);
    api.remove('IPAddressPool', 'q');
    expect(api.settle(controller).refused).toBeUndefined();
  });

  it('with the last pool gone every Service is cleared', () => {
    const api = new TinyApi().put(pool('p', ['192.0.2.0/30']), service('default/a'));
    const controller = start();
    api.settle(controller);
    api.remove('IPAddressPool', 'p');
    api.settle(controller);
    expect(api.status('default/a')).toMatchObject({ ingress: [], condition: { reason: 'noPools' } });
  });
});

describe('the counters of a pool', () => {
  const spec = { clusterIPs: ['10.0.0.1', 'fd00::1'], ipFamilyPolicy: 'RequireDualStack' };
  const statusOf = (api: TinyApi, name: string) => api.objects.get(`IPAddressPool ${name}`)?.['status'];

  it('follow what is in use, and a hand that edits them', () => {
    const api = new TinyApi().put(pool('p', ['192.0.2.0/30', '2001:db8::/126']), service('default/a', spec));
    const controller = start();
    api.settle(controller);
    const used = { assignedIPv4: 1, assignedIPv6: 1, availableIPv4: 3, availableIPv6: 3 };
    expect(statusOf(api, 'p')).toEqual(used);
    api.edit('IPAddressPool p', { status: { availableIPv4: 100 } });
    api.settle(controller);
    expect(statusOf(api, 'p')).toEqual(used);
    api.edit('IPAddressPool p', { spec: { addresses: ['192.0.2.0/29', '2001:db8::/125'] } });
    api.settle(controller);
    expect(statusOf(api, 'p')).toEqual({ ...used, availableIPv4: 7, availableIPv6: 7 });
    api.remove('Service', 'default/a');
    api.settle(controller);
    expect(statusOf(api, 'p')).toEqual({ assignedIPv4: 0, assignedIPv6: 0, availableIPv4: 8, availableIPv6: 8 });
  });

  it('are exact where a number of JSON is not', () => {
    const api = new TinyApi().put(pool('p', ['192.0.2.0/30', '2001:db8::/64']));
    const controller = start();
    const [first] = api.round(controller).pools;
    expect(first?.status.availableIPv6).toBe(LARGEST_INT64);
    api.settle(controller);
    api.put(service('default/a', spec));
    const [second] = api.round(controller).pools;
    expect(second?.status.availableIPv6).toBe(LARGEST_INT64 - 1n);
    api.settle(controller);
  });

  it('do not make the configuration be read again', () => {
    const api = new TinyApi().put(pool('p', ['192.0.2.0/30']), service('default/a'));
    const controller = start();
    const { config } = api.round(controller);
    expect(api.settle(controller).config).toBe(config);
  });
});

it('10,000 Services settle in one write each and one of the pool, one change after that in one', () => {
  const api = new TinyApi().put(pool('p', ['10.0.0.0/16']));
  for (let i = 0; i < 10_000; i++) api.put(service(`default/s${i}`));
  const whole = performance.now();
  control(start(), api.seen(), new Date(0).toISOString());
  const wholeMs = performance.now() - whole;
  const controller = start();
  api.settle(controller);
  expect(api.writes).toBe(10_001);
  const addresses = new Set([...api.objects.keys()].flatMap((key) => api.status(key.replace('Service ', '')).ingress));
  expect(addresses.size).toBe(10_000);
  // the best of some: a machine under test shares its processors
  const took = Array.from({ length: 7 }, (_, i) => {
    api.put(service(`default/more-${i}`));
    const seen = api.seen();
    const began = performance.now();
    const round = control(controller, seen, new Date(0).toISOString());
    const ms = performance.now() - began;
    expect(round.services.has(`default/more-${i}`)).toBe(true);
    return ms;
  });
  expect(Math.min(...took)).toBeLessThan(wholeMs / 4);
});
