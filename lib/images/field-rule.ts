/** What the rules about single fields have in common. */
import type { Mode } from '../config/types';
import type { FieldError } from '../errors';
import { isUuid } from '../manifest';
import { hasNul, show, toBoolean } from './json';

/** What a rule may look at besides the value of its field. */
export interface RuleContext {
    readonly mode: Mode;
    /** Whether the server is configured with channels. */
    readonly channels: boolean;
    readonly type: unknown;
    readonly state: unknown;
    readonly activated: boolean;
}

/**
 * What is wrong with a value that is present: a sentence (code `Invalid`, on the rule's own field), or a whole entry
 * where field or code differ. Empty if nothing is.
 */
export type Rule = (value: unknown, context: RuleContext) => readonly (string | FieldError)[];

/** Most wrong entries that are named for one list: an answer must not be many times as large as its request. */
export const MAX_ENTRY_ERRORS = 100;

/** For fields whose value is never looked at. */
export const anything: Rule = () => [];

export const booleanRule: Rule = (value) =>
    toBoolean(value) === undefined ? [`The value ${show(value)} is neither true nor false.`] : [];

export const uuidRule: Rule = (value) =>
    isUuid(value) ? [] : [`The value ${show(value)} is not a UUID: 32 lower-case hex digits, as 8-4-4-4-12.`];

/** One of a list of words. */
export function oneOf(words: readonly string[]): Rule {
    return (value) =>
        typeof value === 'string' && words.includes(value)
            ? []
            : [`The value ${show(value)} is not one of ${words.join(', ')}.`];
}

/** A text of at most `max` characters, optionally of certain characters only. */
export function textRule(max: number, characters?: { pattern: RegExp; inWords: string }): Rule {
    return (value) => {
        if (typeof value !== 'string') {
            return [`The value ${show(value)} is not a string.`];
        }
        const complaints: string[] = [];
        if (value.length > max) {
            complaints.push(`The text is ${value.length} characters long; ${max} are allowed.`);
        }
        if (characters && !characters.pattern.test(value)) {
            complaints.push(
                `The text ${show(value)} must not be empty and may only have ${characters.inWords}.`,
            );
        }
        return complaints;
    };
}

/** An array whose every entry passes `accepts`; `inWords` tells what an entry has to be. */
export function arrayRule(accepts: (entry: unknown) => boolean, inWords: string): Rule {
    return (value) => {
        if (!Array.isArray(value)) {
            return [`The value ${show(value)} is not an array.`];
        }
        return value
            .filter((entry) => !accepts(entry))
            .slice(0, MAX_ENTRY_ERRORS)
            .map((entry) => `The entry ${show(entry)} is not ${inWords}.`);
    };
}

/** A string that a database can keep in an indexed column. */
export function isIndexable(value: unknown): value is string {
    return typeof value === 'string' && !hasNul(value);
}

/** The members of an object that fail `accepts`, as many as are named in an answer. */
export function wrongMembers(
    value: Readonly<Record<string, unknown>>,
    accepts: (member: unknown) => boolean,
): [string, unknown][] {
    return Object.entries(value)
        .filter(([, member]) => !accepts(member))
        .slice(0, MAX_ENTRY_ERRORS);
}
