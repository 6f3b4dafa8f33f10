/** How requests are refused for their credentials: always 401, with a reason for their owner (auth.md §2). */
import { ApiError } from '../errors';

/** Characters of a value that a message repeats at most. */
const LONGEST_VALUE = 64;

/** What was wrong, for the metrics. */
export type RefusalReason =
    'missing' | 'malformed' | 'algorithm' | 'date' | 'coverage' | 'digest' | 'key' | 'used';

/** A request that is refused for its credentials. */
export class Refusal extends ApiError {
    constructor(
        message: string,
        readonly reason: RefusalReason,
    ) {
        super('UnauthorizedError', message);
    }
}

export function refusal(message: string, reason: RefusalReason = 'malformed'): Refusal {
    return new Refusal(message, reason);
}

/** A value as messages repeat it: quoted, not too long, and of printable characters only. */
export function shown(value: string): string {
    const text = JSON.stringify(value.slice(0, LONGEST_VALUE)).replace(
        /[^ -~]/g,
        (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
    return value.length > LONGEST_VALUE ? `${text} and so on` : text;
}
