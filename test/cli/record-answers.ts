// Asks a real kube-apiserver what it thinks of the cases, and prints it: the content of schema-answers.json.
// Needs `kubectl apply -f manifests/crd` there, a namespace metallb-system, and the conversion strategy of bgppeers set
// to None while nothing answers its webhook. Nothing is stored: every request is a dry run.
// Usage: node test/cli/record-answers.ts https://HOST:PORT TOKEN >test/cli/schema-answers.json

import { request } from 'node:https';
import { CASES } from './schema-cases.ts';

const [url = '', token = ''] = process.argv.slice(2);

interface Status {
  readonly kind: string;
  readonly message: string;
  readonly details?: { readonly causes?: readonly { readonly field?: string; readonly message: string }[] };
}

async function post(path: string, body: unknown): Promise<Status> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const call = request(`${url}${path}`, { method: 'POST', headers, rejectUnauthorized: false }, (response) => {
    const parts: Buffer[] = [];
    response.on('data', (part) => parts.push(part));
    response.on('end', () => resolve(Buffer.concat(parts).toString()));
  });
  call.on('error', reject);
  call.end(JSON.stringify(body));
  const text = await promise;
  return text.startsWith('{') ? JSON.parse(text) : { kind: 'Status', message: text.trim() };
}

const PLURALS: Readonly<Record<string, string>> = {
  Community: 'communities',
  ServiceBGPStatus: 'servicebgpstatuses',
};

const answers: string[] = [];
for (const object of CASES) {
  const kind = String(object['kind']);
  const plural = PLURALS[kind] ?? `${kind.toLowerCase()}s`;
  const path = `/apis/${object['apiVersion']}/namespaces/metallb-system/${plural}?dryRun=All&fieldValidation=Strict`;
  const status = await post(path, object);
  const causes = status.details?.causes ?? [{ message: status.message }];
  const findings = causes.map(({ field, message }) => (field === undefined ? message : `${field}: ${message}`));
  answers.push(JSON.stringify(status.kind === 'Status' ? findings : []));
}
process.stdout.write(`[\n${answers.map((line) => `  ${line}`).join(',\n')}\n]\n`);
