package catalog
import ("testing";"time";"os";"sort";"syscall";"bulkhead.dev/bulkhead/internal/admission";"bulkhead.dev/bulkhead/internal/check";"bulkhead.dev/bulkhead/internal/load/manifest";"bulkhead.dev/bulkhead/internal/model")
func cpu() time.Duration { var r syscall.Rusage; syscall.Getrusage(syscall.RUSAGE_SELF,&r); return time.Duration(r.Utime.Nano()+r.Stime.Nano()) }
func TestZZ(t *testing.T){
 data,_:=os.ReadFile("/tmp/w/in7k/shop-00001.yaml")
 f:=manifest.NewDecoder().Decode(model.Source{File:"f"},data); model.NewWorld(f.Objects, model.WorldOptions{})
 all,_:=Controls(); var base *check.Control; var cs []*check.Control; for _,c:=range all { if c.Object!=nil&&c.Object.Pods {cs=append(cs,c); if c.Name=="no-debug-containers" {base=c}} }
 const N=200
 var pods []*model.Object; for _,o:=range f.Objects { if o.Pod()!=nil {pods=append(pods,o)} }
 one:=func(cs []*check.Control) time.Duration { e,err:=admission.Compile(cs,check.Defaults(cs),37); if err!=nil {t.Fatal(err)}; s:=cpu(); for range N { for _,o:=range pods { e.Evaluate(t.Context(), o) } }; return (cpu()-s)/time.Duration(N*len(pods)) }
 b:=one([]*check.Control{base}); t.Log("base", b, len(pods))
 m:=map[string]time.Duration{}; var ns []string
 for _,c:=range cs { if c!=base { m[c.Name]=one([]*check.Control{base,c})-b; ns=append(ns,c.Name)} }
 sort.Slice(ns,func(i,j int)bool{return m[ns[i]]>m[ns[j]]})
 var sum time.Duration
 for _,n:=range ns { t.Log(m[n], n); sum+=m[n] }
 t.Log("sum", sum, "all", one(cs))
}
