package kustomize
import ("testing";"fmt";"time";"strings")
func TestBig(t *testing.T){
 for _,n:=range []int{500,1000,2000,4000}{
 var b strings.Builder
 for i:=range n { fmt.Fprintf(&b,"---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web-%d\nspec:\n  template:\n    spec:\n      containers:\n      - name: a\n        image: x:1\n        envFrom: [{configMapRef: {name: c}}]\n",i)}
 root:=files{"base/kustomization.yaml":"resources: [a.yaml]\n","base/a.yaml":b.String(),"o/kustomization.yaml":"resources: [../base]\nnamePrefix: p-\nnamespace: x\nlabels: [{pairs: {a: b}}]\n"}.write(t)
 for _,d:=range []string{"/base","/o"}{
 s:=time.Now(); _,e1:=plainBuild(t,root+d); p:=time.Since(s); s=time.Now()
 r,err:=renderDir(t,root+d,Options{}); x:=0; if r!=nil{x=len(r.Documents)}
 fmt.Println(n,d,x,e1,err,"plain",p,"render",time.Since(s))}
 }}
