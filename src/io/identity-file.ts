// A certificate and its key from a folder (`tls.crt`, `tls.key`), followed as they are replaced: a mounted Secret changes
// by a renamed link that no watch of a file sees, so the folder is looked at every few seconds. Used for certificates
// that somebody else keeps.

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TlsIdentity } from './https.ts';

const LOOK_MS = 5_000;

/** Throws a sentence that names the file and what is wrong with it, also when the two are not of each other. */
export async function readIdentity(folder: string): Promise<TlsIdentity> {
  const read = (name: string) => readFile(join(folder, name), 'utf8');
  try {
    const [cert, key] = await Promise.all([read('tls.crt'), read('tls.key')]);
    if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)))
      throw new Error('tls.key is not the key of tls.crt');
    return { cert, key };
  } catch (fault) {
    throw new Error(`no certificate in ${folder}: ${(fault as Error).message}`);
  }
}

/** Calls back with each new pair, the first included; what is wrong is said once a change. Answers how to end it. */
export function followIdentity(
  folder: string,
  changed: (identity: TlsIdentity) => void,
  failed: (text: string) => void,
): () => void {
  let [last, said] = ['', ''];
  let timer: NodeJS.Timeout | undefined;
  let ended = false;
  const look = async () => {
    try {
      const identity = await readIdentity(folder);
      const print = identity.cert + identity.key;
      if (!ended && print !== last) changed(identity);
      [last, said] = [print, ''];
    } catch (fault) {
      const { message } = fault as Error;
      if (!ended && message !== said) failed(message);
      said = message;
    }
    if (ended) return;
    timer = setTimeout(() => void look(), LOOK_MS);
    timer.unref();
  };
  void look();
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}
