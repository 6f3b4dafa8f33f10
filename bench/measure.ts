/** One line of the result. */
export interface Measure {
    /** What is measured, e.g. `GET /ping`. */
    readonly work: string;
    readonly value: number;
    readonly unit: Unit;
    /** The same of what this is compared with, in the same unit; absent if there is no such thing, or not here. */
    readonly floor?: number;
    /** Median of the rounds' ratios to the floor. */
    readonly ratio?: number;
    /** Absent if the number is there to be seen only. */
    readonly target?: Target;
}

/** At most or at least so much, of the value itself or of its ratio to the floor. */
export type Target = { readonly of: 'value' | 'ratio' } & (
    { readonly most: number } | { readonly least: number }
);

export interface Unit {
    readonly name: string;
    readonly digits: number;
}

export const units = {
    microseconds: { name: 'CPU µs', digits: 1 },
    milliseconds: { name: 'CPU ms', digits: 2 },
    secondsPerGib: { name: 'CPU s/GiB', digits: 2 },
    throughput: { name: 'GiB/s', digits: 2 },
    mebibytes: { name: 'MiB', digits: 0 },
    time: { name: 'ms', digits: 0 },
    shortTime: { name: 'ms', digits: 2 },
    seconds: { name: 's', digits: 1 },
    microsecondsPassed: { name: 'µs', digits: 2 },
    perSecond: { name: '/CPU s', digits: 0 },
} satisfies Record<string, Unit>;

/** Whether the target is met; undefined if there is none, or what it is about was not measured. */
export function isMet({ value, ratio, target }: Measure): boolean | undefined {
    const judged = target?.of === 'value' ? value : ratio;
    if (target === undefined || judged === undefined) {
        return undefined;
    }
    return 'most' in target ? judged <= target.most : judged >= target.least;
}
