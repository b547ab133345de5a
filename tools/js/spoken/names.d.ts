// What cannot be known of the names in what Python says to the browser: Reflex's own modules, and which element is
// found or heard from. All else (the document, events, hooks, lists, texts) has its types.
declare module "$/*";
declare module "*.css";
declare module "react-markdown";

interface Window {
  vibeDoor: {
    read(answer: Response): Promise<any>;
    keep(key: string): void;
    forget(): void;
    headers(): Record<string, string>;
    address(url: string): string;
  };
  [name: string]: any;
}
interface EventTarget {
  blur: any;
  click: any;
  closest: any;
  dataset: any;
  defaultValue: any;
  focus: any;
  form: any;
  matches: any;
  pane: any;
  select: any;
  showModal: any;
  value: any;
}
