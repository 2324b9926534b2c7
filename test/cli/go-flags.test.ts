// Flags as Go's package `flag` reads them (its documentation, "Command line flag syntax").

import { describe, expect, it } from 'vitest';
import { parseGoFlags, usageOf } from '../../src/cli/go-flags.ts';

const TABLE = {
  port: { kind: 'number', otherwise: '9120', help: 'where metrics are' },
  namespace: { kind: 'text', env: 'METALLB_NAMESPACE', otherwise: '', help: 'where we are' },
  'disable-cert-rotation': { kind: 'truth', otherwise: 'false', help: 'leave it' },
} as const;

const parse = (argv: readonly string[], env: Record<string, string> = {}) => parseGoFlags(TABLE, argv, env);

describe('flags', () => {
  it('have defaults', () => {
    expect(parse([])).toEqual({ port: 9120, namespace: '', 'disable-cert-rotation': false });
  });

  it('may be written in four ways, the last one counts', () => {
    for (const argv of [['-port', '1'], ['--port', '1'], ['-port=1'], ['--port=1'], ['--port=7', '-port=1']])
      expect(parse(argv).port).toBe(1);
    expect(parse(['--namespace=a=b']).namespace).toBe('a=b');
  });

  it('that are true or false take a value only with =', () => {
    expect(parse(['--disable-cert-rotation'])['disable-cert-rotation']).toBe(true);
    expect(parse(['-disable-cert-rotation=false', '--port', '2'])).toMatchObject({
      'disable-cert-rotation': false,
      port: 2,
    });
    expect(() => parse(['--disable-cert-rotation', 'false'])).toThrow('no such argument: false');
  });

  it('are looked for in the environment when they are not given', () => {
    expect(parse([], { METALLB_NAMESPACE: 'env' }).namespace).toBe('env');
    expect(parse(['--namespace=flag'], { METALLB_NAMESPACE: 'env' }).namespace).toBe('flag');
    expect(parse(['--namespace='], { METALLB_NAMESPACE: 'env' }).namespace).toBe('env');
  });

  it("that are wrong are refused in Go's words", () => {
    expect(() => parse(['--colour=red'])).toThrow('flag provided but not defined: -colour');
    expect(() => parse(['--port'])).toThrow('flag needs an argument: -port');
    expect(() => parse(['--port=http'])).toThrow('invalid value "http" for flag -port: parse error');
    expect(() => parse(['--disable-cert-rotation=maybe'])).toThrow(
      'invalid boolean value "maybe" for flag -disable-cert-rotation: parse error',
    );
    expect(() => parse(['--__proto__=1'])).toThrow('flag provided but not defined');
    expect(() => parse(['---port=1'])).toThrow('no such argument');
  });

  it('are all in the usage', () => {
    expect(usageOf('controller', TABLE)).toBe(
      [
        'Usage of controller:',
        '  -port int\n        where metrics are (default 9120)',
        '  -namespace string\n        where we are (environment: METALLB_NAMESPACE)',
        '  -disable-cert-rotation\n        leave it\n',
      ].join('\n'),
    );
  });
});
