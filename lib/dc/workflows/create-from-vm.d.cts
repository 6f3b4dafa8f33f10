import type { WorkflowSource } from '../workflow-source';

declare const source: WorkflowSource;
export = source;
