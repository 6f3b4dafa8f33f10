/** The workflows that this server gives to the workflow service of a datacenter (vm-images.md §4.1, imports.md §4.1). */
import createFromVm from './workflows/create-from-vm.cjs';
import importRemoteImage from './workflows/import-remote-image.cjs';

/** A task as its file has it. */
export interface TaskSource {
    readonly name: string;
    /** In seconds, of one attempt. */
    readonly timeout: number;
    readonly retry: number;
    /** What the body finds as globals: names of modules by the names of the globals. */
    readonly modules: Readonly<Record<string, string>>;
    readonly body: TaskFunction;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type TaskFunction = (...values: any[]) => unknown;

/** A workflow as its file has it. */
export interface WorkflowSource {
    readonly name: string;
    readonly version: string;
    /** In seconds, of all tasks of the chain together. */
    readonly timeout: number;
    /** Functions that the tasks call. */
    readonly helpers: Readonly<Record<string, TaskFunction>>;
    readonly chain: readonly TaskSource[];
    readonly onerror: readonly TaskSource[];
    readonly oncancel: readonly TaskSource[];
}

/** A task as the workflow service takes it: `body` is the text of a function. */
export interface Task extends Omit<TaskSource, 'body'> {
    readonly body: string;
}

/** A workflow as the workflow service takes it (vm-images.md §7). */
export interface Workflow {
    /** With the version: the service holds one of a name. */
    readonly name: string;
    readonly version: string;
    readonly timeout: number;
    readonly chain: readonly Task[];
    readonly onerror: readonly Task[];
    readonly oncancel: readonly Task[];
}

const sources: readonly WorkflowSource[] = [createFromVm, importRemoteImage];

/** The workflow of jobs of a kind; undefined if this server has none. */
export function workflowOf(task: string): Workflow | undefined {
    const source = sources.find(({ name }) => name === task);
    return source && composed(source);
}

function composed({ name, version, timeout, helpers, chain, onerror, oncancel }: WorkflowSource): Workflow {
    const tasks = (all: readonly TaskSource[]): Task[] =>
        all.map((task) => ({ ...task, body: bodyOf(task.body, Object.values(helpers)) }));
    return {
        name: `${name}-${version}`,
        version,
        timeout,
        chain: tasks(chain),
        onerror: tasks(onerror),
        oncancel: tasks(oncancel),
    };
}

/** The text of a function that needs nothing around it: it has those that it calls within itself. */
function bodyOf(body: TaskFunction, helpers: readonly TaskFunction[]): string {
    return `function (job, cb) {\n${[...new Set([...helpers, body])].map(String).join('\n\n')}\n\nreturn ${body.name}(job, cb);\n}`;
}
