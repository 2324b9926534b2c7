// Label selectors as data, and the one function that asks them.

export interface Selector {
  /** All must hold; matchLabels are `In` with one value. Canonical order: equal selectors are equal JSON. */
  readonly terms: readonly Term[];
}

export interface Term {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  /** Sorted. */
  readonly values: readonly string[];
}

export function matches(selector: Selector, labels: Readonly<Record<string, string>>): boolean {
  return selector.terms.every(({ key, operator, values }) => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
    switch (operator) {
      case 'In':
        return value !== undefined && values.includes(value);
      case 'NotIn':
        return value === undefined || !values.includes(value);
      case 'Exists':
        return value !== undefined;
      case 'DoesNotExist':
        return value === undefined;
    }
  });
}

/** Terms of a list are OR-ed; an empty list asks nothing. */
export function matchesAny(selectors: readonly Selector[], labels: Readonly<Record<string, string>>): boolean {
  return selectors.length === 0 || selectors.some((selector) => matches(selector, labels));
}
