// The configuration in force: the latest that was accepted, and why a newer one was not. Parsed anew only when something
// in it changed. Called by whoever follows a cluster or a folder.

import type { Config } from './config.ts';
import { type ParseOptions, parseConfig } from './parse.ts';
import type { Invalid, Resources } from './resource.ts';

export interface InForce {
  /** Undefined before a first one was accepted. */
  readonly config: Config | undefined;
  /** Why the latest one was refused; undefined: it is the one in force. */
  readonly refused: string | undefined;
}

export interface Keeper {
  readonly options: ParseOptions;
  config: Config | undefined;
  parsed: { readonly resources: Resources; readonly outcome: ReturnType<typeof parseConfig> } | undefined;
}

export function createKeeper(options: ParseOptions): Keeper {
  return { options, config: undefined, parsed: undefined };
}

/**
 * The new configuration as a whole, or the old one and the reason. `problem`: a resource of it cannot be read. Equal
 * configurations are one object while `resources` is; changes the keeper.
 */
export function putInForce(keeper: Keeper, resources: Resources, problem: Invalid | undefined): InForce {
  if (problem !== undefined) return { config: keeper.config, refused: problem.message };
  if (keeper.parsed?.resources !== resources)
    keeper.parsed = { resources, outcome: parseConfig(resources, keeper.options) };
  const { outcome } = keeper.parsed;
  if ('config' in outcome) keeper.config = outcome.config;
  return { config: keeper.config, refused: 'invalid' in outcome ? outcome.invalid.message : undefined };
}
