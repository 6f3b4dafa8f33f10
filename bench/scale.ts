/** How much of everything is measured. Sizes in bytes. */
export interface Scale {
    /** Paired rounds; of their ratios the median counts. */
    readonly rounds: number;
    /** Small reads per round; the lists, being larger, get fewer. */
    readonly requests: number;
    /** Requests before the first round, so that code is compiled and caches are warm. */
    readonly warmUp: number;
    /** Lengths of the lists. */
    readonly lists: readonly number[];
    /** Images in the small and in the large database. */
    readonly fewImages: number;
    readonly manyImages: number;
    /** Requests with a filter that count, per round. */
    readonly filtered: number;
    /** Others before them, so that the code is compiled. */
    readonly filteredWarmUp: number;
    /** Results that a filtered list is asked for. */
    readonly filteredLimit: number;
    readonly fileBytes: number;
    /** Uploads at the same time, and the bytes that they bring together. */
    readonly streams: readonly number[];
    readonly streamBytes: number;
    /** The same of uploads to S3, whose server has them in memory. */
    readonly s3StreamBytes: number;
    /** Signed requests, no two the same, that the verifier is given again and again. */
    readonly signatures: number;
    /** Seconds of processor time for which it is, per round. */
    readonly verifySeconds: number;
    /** Requests of each kind that are refused. */
    readonly refusals: number;
    /** Clients that never end the head, and such that never end the body of their request. */
    readonly slowHeads: number;
    readonly slowBodies: number;
    /** How long the server waits for a head, in ms; its default in a measurement that counts. */
    readonly headerTimeout: number;
}

const MIB = 1 << 20;
export const GIB = 1 << 30;

export const full: Scale = {
    rounds: 5,
    requests: 6000,
    // The compiler is still at it after ten thousand.
    warmUp: 20_000,
    lists: [100, 1000],
    // Some are disabled and not listed; the others still fill the longest list.
    fewImages: 1050,
    manyImages: 100_000,
    filtered: 20,
    filteredWarmUp: 120,
    filteredLimit: 100,
    fileBytes: GIB,
    streams: [1, 8, 32],
    streamBytes: 256 * MIB,
    s3StreamBytes: 2 * GIB,
    signatures: 500,
    verifySeconds: 0.2,
    refusals: 4000,
    slowHeads: 500,
    slowBodies: 100,
    headerTimeout: 15_000,
};

/** For a look at whether everything still runs: seconds, and numbers that mean nothing. */
export const quick: Scale = {
    rounds: 1,
    requests: 100,
    warmUp: 20,
    lists: [10, 40],
    fewImages: 50,
    manyImages: 1000,
    filtered: 2,
    filteredWarmUp: 2,
    filteredLimit: 10,
    fileBytes: 8 * MIB,
    streams: [1, 8],
    streamBytes: 8 * MIB,
    s3StreamBytes: 8 * MIB,
    signatures: 10,
    verifySeconds: 0.005,
    refusals: 20,
    slowHeads: 10,
    slowBodies: 2,
    headerTimeout: 500,
};
