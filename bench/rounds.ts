/** Paired rounds: what is compared is measured in turn, so that a machine that grows slower slows both. */

export function median(values: readonly number[]): number {
    const sorted = [...values].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    const [low = NaN, high = NaN] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[middle]];
    return (low + high) / 2;
}

/** The values of one subject, a round each. */
export type Values = readonly number[];

/** Measures the subjects one after the other, `rounds` times; gives the values of each. */
export async function measureInTurn<const Subjects extends readonly (() => Promise<number>)[]>(
    rounds: number,
    subjects: Subjects,
): Promise<{ [K in keyof Subjects]: Values }> {
    const values = subjects.map((): number[] => []);
    for (let round = 0; round < rounds; round++) {
        for (const [index, subject] of subjects.entries()) {
            values[index]?.push(await subject());
        }
    }
    return values as { [K in keyof Subjects]: Values };
}

/** The median of the rounds' ratios. */
export function medianRatio(values: Values, floors: Values): number {
    return median(values.map((value, round) => value / (floors[round] ?? NaN)));
}
