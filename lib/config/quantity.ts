/** Times and sizes as people write them: `10s`, `1MiB`. */

export type QuantityKind = 'time' | 'size';

/** Units from small to large; the value of each in ms or bytes. */
const units: Record<QuantityKind, Record<string, number>> = {
    time: { ms: 1, s: 1000, m: 60_000, h: 3_600_000 },
    size: { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 },
};

const NUMBER_WITH_UNIT = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)$/;

/**
 * The ms or bytes a value means; undefined if it means none.
 *
 * A number is taken as ms or bytes. A text needs a unit: `"10"` beside `10` would be a trap.
 */
export function parseQuantity(kind: QuantityKind, value: unknown): number | undefined {
    if (typeof value === 'number') {
        return Number.isFinite(value) ? value : undefined;
    }
    const match = typeof value === 'string' ? NUMBER_WITH_UNIT.exec(value) : null;
    const [, digits, unit] = match ?? [];
    if (digits === undefined || unit === undefined || !Object.hasOwn(units[kind], unit)) {
        return undefined;
    }
    return Math.round(Number(digits) * (units[kind][unit] ?? NaN));
}

/** The value in the largest unit that divides it: 15000 ms is `15s`. */
export function formatQuantity(kind: QuantityKind, value: number): string {
    const [unit, factor] = Object.entries(units[kind])
        .filter(([, size]) => value % size === 0)
        .at(-1) ?? ['', 1];
    return value === 0 ? `0${kind === 'time' ? 'ms' : 'B'}` : `${value / factor}${unit}`;
}
