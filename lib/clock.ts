/** Time and random ids, passed in so that tests can hold them still. */
export interface Clock {
    /** ms since the epoch. */
    now(): number;
    uuid(): string;
}
