import querystring from 'node:querystring';
import { invalidParameter, missingParameter } from '../errors';
import { show } from '../images/json';
import { isUuid } from '../manifest';
import type { Parameter } from './route';

/** What stands at the end of a parameter's name for the part that the client chooses. */
const OPEN_END = '.KEY';

/** The parameters of a request's query string. A parameter given twice is refused where one value is expected. */
export class Query {
    readonly #values: NodeJS.Dict<string | string[]>;

    /** @param search the query string without its `?` */
    constructor(search: string) {
        this.#values = search === '' ? {} : querystring.parse(search, '&', '=', { maxKeys: 0 });
    }

    /** The one value of a parameter; undefined if it is not given. @throws ApiError InvalidParameter if repeated */
    one(name: string): string | undefined {
        const value = Object.hasOwn(this.#values, name) ? this.#values[name] : undefined;
        if (Array.isArray(value)) {
            throw invalidParameter(
                `Parameter ${show(name)} is given ${value.length} times; give it once.`,
                name,
            );
        }
        return value;
    }

    /** Whether a parameter is given, in whatever number and form; an empty one counts as not given. */
    has(name: string): boolean {
        return Object.hasOwn(this.#values, name) && this.#values[name] !== '';
    }

    /** The one value of a parameter, with an empty one counting as not given. */
    nonEmpty(name: string): string | undefined {
        const value = this.one(name);
        return value === '' ? undefined : value;
    }

    /** A parameter that has to be given. @throws ApiError ValidationFailed. @param takes completes "it takes …" */
    required(name: string, takes: string): string {
        const value = this.nonEmpty(name);
        if (value === undefined) {
            throw missingParameter(name, takes);
        }
        return value;
    }

    /** A parameter that is a uuid. @throws ApiError InvalidParameter unless absent or one */
    uuid(name: string): string | undefined {
        const value = this.one(name);
        if (value === undefined || isUuid(value)) {
            return value;
        }
        throw invalidParameter(`Parameter "${name}" is ${show(value)}; it takes a uuid.`, name);
    }

    /** A boolean parameter. @throws ApiError InvalidParameter unless absent, `true` or `false` */
    boolean(name: string): boolean | undefined {
        const value = this.one(name);
        if (value === undefined || value === 'true' || value === 'false') {
            return value === undefined ? undefined : value === 'true';
        }
        throw invalidParameter(`Parameter "${name}" is ${show(value)}; it takes "true" or "false".`, name);
    }

    /** All parameters, as `node:querystring` gives them. */
    get values(): NodeJS.Dict<string | string[]> {
        return this.#values;
    }

    /**
     * Refuses parameters that are repeated, or nested as some query parsers understand it (`a[b]=c`, `a[]=c`): those
     * of the list; others are none of our business.
     *
     * @throws ApiError InvalidParameter
     */
    assertPlain(parameters: readonly Parameter[]): void {
        for (const key of Object.keys(this.#values)) {
            const bracket = key.indexOf('[');
            const name = bracket === -1 ? key : key.slice(0, bracket);
            const parameter = parameters.find((one) => isMeant(one, name));
            if (parameter && bracket !== -1) {
                throw invalidParameter(
                    `Parameter ${show(name)} is given as ${show(key)}; it takes a plain value, without brackets.`,
                    name,
                );
            }
            if (parameter && parameter.schema?.type !== 'array') {
                this.one(key);
            }
        }
    }
}

/** Whether the name is that of the parameter; for one with an open end, the name without an end is so as well. */
function isMeant({ name: known }: Parameter, name: string): boolean {
    if (!known.endsWith(OPEN_END)) {
        return known === name;
    }
    const stem = known.slice(0, -OPEN_END.length);
    return name === stem || name.startsWith(`${stem}.`);
}
